import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from train.losses import Negatives, accuracy, focal_sigmoid, info_nce, sigmoid

SCALE, BIAS = jnp.asarray(14.0), jnp.asarray(-3.0)
NONE_SHARED = jnp.eye(6, dtype=bool)


def unit_rows(seed: int, rows: int = 6, width: int = 8) -> jax.Array:
    x = jax.random.normal(jax.random.key(seed), (rows, width))
    return x / jnp.linalg.norm(x, axis=1, keepdims=True)


SENSOR, TEXT = unit_rows(0), unit_rows(1)


def test_info_nce_is_clips_loss_where_each_text_fits_one_window() -> None:
    logits = SCALE * SENSOR @ TEXT.T
    labels = jnp.arange(6)
    clip = (
        optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        + optax.softmax_cross_entropy_with_integer_labels(logits.T, labels).mean()
    ) / 2
    np.testing.assert_allclose(info_nce(SENSOR, TEXT, SCALE, BIAS, NONE_SHARED), clip, rtol=1e-6)


def test_info_nce_target_is_uniform_over_the_positives() -> None:
    positives = NONE_SHARED.at[0, 1].set(True).at[1, 0].set(True).at[4, 2].set(True)
    logits = SCALE * SENSOR @ TEXT.T
    rows = positives / positives.sum(axis=1, keepdims=True)
    columns = positives / positives.sum(axis=0, keepdims=True)
    expected = (
        optax.softmax_cross_entropy(logits, rows).mean() + optax.softmax_cross_entropy(logits.T, columns.T).mean()
    ) / 2
    np.testing.assert_allclose(info_nce(SENSOR, TEXT, SCALE, BIAS, positives), expected, rtol=1e-6)


def test_windows_with_the_same_caption_do_not_push_each_other_away() -> None:
    """Two windows share a caption: with both marked positive the optimum exists, without it the two fight."""
    twins = SENSOR.at[1].set(SENSOR[0])
    texts = twins  # perfectly aligned already
    shared = NONE_SHARED.at[0, 1].set(True).at[1, 0].set(True)
    pull = jax.grad(info_nce)(twins, texts, SCALE, BIAS, shared)
    push = jax.grad(info_nce)(twins, texts, SCALE, BIAS, NONE_SHARED)
    assert info_nce(twins, texts, SCALE, BIAS, shared) > 0
    assert jnp.linalg.norm(pull[:2]) <= jnp.linalg.norm(push[:2]) + 1e-6
    np.testing.assert_allclose(pull[0], pull[1], atol=1e-6)


def test_sigmoid_is_the_siglip_loss() -> None:
    """Algorithm 1 of Zhai et al. 2023, written as there."""
    labels = 2 * jnp.eye(6) - jnp.ones((6, 6))
    expected = -jax.nn.log_sigmoid(labels * (SCALE * SENSOR @ TEXT.T + BIAS)).sum() / 6
    np.testing.assert_allclose(sigmoid(SENSOR, TEXT, SCALE, BIAS, NONE_SHARED), expected, rtol=1e-6)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_sigmoid_weighs_by_the_probability_of_being_wrong(gamma: float) -> None:
    p = jax.nn.sigmoid(SCALE * SENSOR @ TEXT.T + BIAS)
    right = jnp.where(NONE_SHARED, p, 1 - p)
    expected = (-((1 - right) ** gamma) * jnp.log(right)).sum() / 6
    np.testing.assert_allclose(focal_sigmoid(SENSOR, TEXT, SCALE, BIAS, NONE_SHARED, gamma=gamma), expected, rtol=1e-4)


@pytest.mark.parametrize("loss", [info_nce, sigmoid, focal_sigmoid])
def test_more_negatives_can_only_make_the_task_harder(loss) -> None:
    negatives = Negatives(SENSOR @ unit_rows(2, rows=4).T, jnp.ones((6, 4), bool))
    assert loss(SENSOR, TEXT, SCALE, BIAS, NONE_SHARED, negatives) > loss(SENSOR, TEXT, SCALE, BIAS, NONE_SHARED)


@pytest.mark.parametrize("loss", [info_nce, sigmoid, focal_sigmoid])
def test_invalid_negatives_count_for_nothing_and_leave_gradients_finite(loss) -> None:
    def value(sensor: jax.Array, scale: jax.Array, negatives: Negatives | None) -> jax.Array:
        return loss(sensor, TEXT, scale, BIAS, NONE_SHARED, negatives)

    nothing = Negatives(SENSOR @ unit_rows(2, rows=4).T, jnp.zeros((6, 4), bool))
    with_nothing = jax.value_and_grad(value, argnums=(0, 1))(SENSOR, SCALE, nothing)
    without = jax.value_and_grad(value, argnums=(0, 1))(SENSOR, SCALE, None)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), with_nothing, without)


def test_negatives_are_further_columns_of_the_window_to_text_direction_alone() -> None:
    others = unit_rows(2, rows=4)
    logits = SCALE * SENSOR @ TEXT.T
    wide = jnp.concatenate([logits, SCALE * SENSOR @ others.T], axis=1)
    expected = (
        optax.softmax_cross_entropy_with_integer_labels(wide, jnp.arange(6)).mean()
        + optax.softmax_cross_entropy_with_integer_labels(logits.T, jnp.arange(6)).mean()
    ) / 2
    negatives = Negatives(SENSOR @ others.T, jnp.ones((6, 4), bool))
    np.testing.assert_allclose(info_nce(SENSOR, TEXT, SCALE, BIAS, NONE_SHARED, negatives), expected, rtol=1e-6)


@pytest.mark.parametrize("loss", [info_nce, sigmoid, focal_sigmoid])
def test_extreme_logits_stay_finite(loss) -> None:
    opposite = -SENSOR
    value, gradient = jax.value_and_grad(loss)(SENSOR, opposite, jnp.asarray(100.0), jnp.asarray(-50.0), NONE_SHARED)
    assert jnp.isfinite(value)
    assert jnp.isfinite(gradient).all()


def test_accuracy_counts_any_fitting_neighbour_in_both_directions() -> None:
    sensor = jnp.eye(3)
    text = jnp.eye(3)[jnp.array([1, 0, 2])]  # texts 0 and 1 swapped
    swapped = accuracy(sensor, text, jnp.eye(3, dtype=bool))
    assert [float(x) for x in swapped] == pytest.approx([1 / 3, 1 / 3])
    fits_too = jnp.eye(3, dtype=bool).at[0, 1].set(True)  # window 0 has the caption of window 1
    assert [float(x) for x in accuracy(sensor, text, fits_too)] == pytest.approx([2 / 3, 2 / 3])
