from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from train.losses import Matches, Negatives
from train.losses.interface import fitting
from train.losses.plain import focal_sigmoid, info_nce

SCALE, BIAS = jnp.asarray(14.0), jnp.asarray(-3.0)
NUMBERS = jnp.arange(6)
NONE_SHARED = Matches(NUMBERS[:, None], NUMBERS)
sigmoid = partial(focal_sigmoid, gamma=0.0)
LOSSES = [info_nce, sigmoid, partial(focal_sigmoid, gamma=2.0), partial(focal_sigmoid, gamma=0.5)]
IDS = ["infonce", "sigmoid", "focal 2", "focal 0.5"]


def unit_rows(seed: int, rows: int = 6, width: int = 8) -> jax.Array:
    x = jax.random.normal(jax.random.key(seed), (rows, width))
    return x / jnp.linalg.norm(x, axis=1, keepdims=True)


def shared(*pairs: tuple[int, int]) -> Matches:
    """Windows fit their own texts, and window i also text j for each pair (i, j)."""
    own = [[i, *[b for a, b in pairs if a == i]] for i in range(6)]
    return Matches(jnp.array([row + [-1] * (3 - len(row)) for row in own]), NUMBERS)


SENSOR, TEXT = unit_rows(0), unit_rows(1)


def test_a_text_fits_where_its_number_is_among_a_windows_own() -> None:
    own = jnp.array([[7, 9], [9, -1], [7, -1]])
    assert fitting(own, jnp.array([7, 9, 7])).tolist() == [[1, 1, 1], [0, 1, 0], [1, 0, 1]]


def test_info_nce_is_clips_loss_where_each_text_fits_one_window() -> None:
    logits = SCALE * SENSOR @ TEXT.T
    clip = (
        optax.softmax_cross_entropy_with_integer_labels(logits, NUMBERS).mean()
        + optax.softmax_cross_entropy_with_integer_labels(logits.T, NUMBERS).mean()
    ) / 2
    np.testing.assert_allclose(info_nce(SENSOR, TEXT, SCALE, BIAS, NONE_SHARED).loss, clip, rtol=1e-6)


def test_info_nce_target_is_uniform_over_the_positives() -> None:
    matches = shared((0, 1), (1, 0), (4, 2))
    positives = fitting(*matches)
    assert positives.sum() == 9
    logits = SCALE * SENSOR @ TEXT.T
    rows = positives / positives.sum(axis=1, keepdims=True)
    columns = positives / positives.sum(axis=0, keepdims=True)
    expected = (
        optax.softmax_cross_entropy(logits, rows).mean() + optax.softmax_cross_entropy(logits.T, columns.T).mean()
    ) / 2
    np.testing.assert_allclose(info_nce(SENSOR, TEXT, SCALE, BIAS, matches).loss, expected, rtol=1e-6)


def test_windows_with_the_same_caption_do_not_push_each_other_away() -> None:
    """Two windows share a caption: with both marked positive the optimum exists, without it the two fight."""
    twins = SENSOR.at[1].set(SENSOR[0])
    texts = twins  # perfectly aligned already
    both = shared((0, 1), (1, 0))
    pull = jax.grad(lambda *inputs: info_nce(*inputs).loss)(twins, texts, SCALE, BIAS, both)
    push = jax.grad(lambda *inputs: info_nce(*inputs).loss)(twins, texts, SCALE, BIAS, NONE_SHARED)
    assert info_nce(twins, texts, SCALE, BIAS, both).loss > 0
    assert jnp.linalg.norm(pull[:2]) <= jnp.linalg.norm(push[:2]) + 1e-6
    np.testing.assert_allclose(pull[0], pull[1], atol=1e-6)


def test_sigmoid_is_the_siglip_loss() -> None:
    """Algorithm 1 of Zhai et al. 2023, written as there."""
    labels = 2 * jnp.eye(6) - jnp.ones((6, 6))
    expected = -jax.nn.log_sigmoid(labels * (SCALE * SENSOR @ TEXT.T + BIAS)).sum() / 6
    np.testing.assert_allclose(sigmoid(SENSOR, TEXT, SCALE, BIAS, NONE_SHARED).loss, expected, rtol=1e-6)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_sigmoid_weighs_by_the_probability_of_being_wrong(gamma: float) -> None:
    p = jax.nn.sigmoid(SCALE * SENSOR @ TEXT.T + BIAS)
    right = jnp.where(jnp.eye(6, dtype=bool), p, 1 - p)
    expected = (-((1 - right) ** gamma) * jnp.log(right)).sum() / 6
    found = focal_sigmoid(SENSOR, TEXT, SCALE, BIAS, NONE_SHARED, gamma=gamma).loss
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
def test_more_negatives_can_only_make_the_task_harder(loss) -> None:
    negatives = Negatives(SENSOR @ unit_rows(2, rows=4).T, jnp.ones((6, 4), bool))
    harder, easier = (loss(SENSOR, TEXT, SCALE, BIAS, NONE_SHARED, more).loss for more in (negatives, None))
    assert harder > easier


@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
def test_invalid_negatives_count_for_nothing_and_leave_gradients_finite(loss) -> None:
    def value(sensor: jax.Array, scale: jax.Array, negatives: Negatives | None) -> jax.Array:
        return loss(sensor, TEXT, scale, BIAS, NONE_SHARED, negatives).loss

    nothing = Negatives(SENSOR @ unit_rows(2, rows=4).T, jnp.zeros((6, 4), bool))
    with_nothing = jax.value_and_grad(value, argnums=(0, 1))(SENSOR, SCALE, nothing)
    without = jax.value_and_grad(value, argnums=(0, 1))(SENSOR, SCALE, None)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), with_nothing, without)


def test_negatives_are_further_columns_of_the_window_to_text_direction_alone() -> None:
    others = unit_rows(2, rows=4)
    logits = SCALE * SENSOR @ TEXT.T
    wide = jnp.concatenate([logits, SCALE * SENSOR @ others.T], axis=1)
    expected = (
        optax.softmax_cross_entropy_with_integer_labels(wide, NUMBERS).mean()
        + optax.softmax_cross_entropy_with_integer_labels(logits.T, NUMBERS).mean()
    ) / 2
    negatives = Negatives(SENSOR @ others.T, jnp.ones((6, 4), bool))
    found = info_nce(SENSOR, TEXT, SCALE, BIAS, NONE_SHARED, negatives).loss
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
def test_extreme_logits_stay_finite(loss) -> None:
    def value(*inputs) -> jax.Array:
        return loss(*inputs, NONE_SHARED).loss

    inputs = SENSOR, -SENSOR, jnp.asarray(100.0), jnp.asarray(-50.0)
    found = jax.value_and_grad(value, argnums=(0, 1, 2, 3))(*inputs)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(found))


@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
def test_accuracy_counts_any_fitting_neighbour_in_both_directions(loss) -> None:
    sensor = jnp.eye(6)
    text = jnp.eye(6)[jnp.array([1, 0, 2, 3, 4, 5])]  # texts 0 and 1 swapped
    swapped = loss(sensor, text, SCALE, BIAS, NONE_SHARED)[1:]
    assert [float(x) for x in swapped] == pytest.approx([4 / 6, 4 / 6])
    fits_too = loss(sensor, text, SCALE, BIAS, shared((0, 1)))[1:]  # window 0 has the caption of window 1
    assert [float(x) for x in fits_too] == pytest.approx([5 / 6, 5 / 6])


@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
def test_a_collapse_to_one_point_has_accuracy_zero(loss) -> None:
    point = jnp.broadcast_to(SENSOR[:1], SENSOR.shape)
    assert [float(x) for x in loss(point, point, SCALE, BIAS, NONE_SHARED)[1:]] == [0, 0]
    everything_fits = Matches(jnp.zeros((6, 1), jnp.int32), jnp.zeros(6, jnp.int32))
    assert [float(x) for x in loss(point, point, SCALE, BIAS, everything_fits)[1:]] == [1, 1]
