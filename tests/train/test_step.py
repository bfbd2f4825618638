from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from chronos_jax.sharding import MESH_AXES, make_mesh
from train.config import TrainConfig
from train.input import Batch, BatchLayout, stop_flags
from train.losses.interface import fitting
from train.negatives import EMPTY
from train.optimizer import make_optimizer
from train.run import make_model
from train.step import Standardisation, TrainState, init_state, make_train_step, matches
from train.text import WordVocabulary

WORDS = WordVocabulary.of([f"window number {i}" for i in range(32)])
OWN = np.arange(32)


def host_batch(seed: int) -> Batch:
    """Sixteen of 32 windows whose features and captions both tell their number."""
    rng = np.random.default_rng(seed)
    windows = rng.permutation(32)[:16]
    rows: list[Any] = [
        (np.eye(32)[windows] + 0.1 * rng.normal(size=(16, 32))).astype(np.float32),
        WORDS([f"window number {i}" for i in windows]),
        windows.astype(np.int32),
        np.stack([windows, np.full(16, EMPTY)], axis=1).astype(np.int32),
    ]
    return Batch(*rows)


@cache
def train(
    devices: int, mesh_shape: tuple[int, int, int] = (-1, 1, 1), steps: int = 4, **keys: object
) -> tuple[list[float], TrainState]:
    """Losses of the steps on so many devices, and the state after them."""
    small = {"projection_hidden_dim": 16, "output_dim": 8, "batch_size": 16, "learning_rate": 0.01}
    config = TrainConfig.model_validate(small | keys)
    mesh = make_mesh(dict(zip(MESH_AXES, mesh_shape, strict=True)), devices=jax.devices()[:devices])
    model = make_model(config, 32, WORDS)
    schedule = optax.constant_schedule(config.learning_rate)
    optimizer = make_optimizer(schedule, betas=config.betas, weight_decay=0.01, grad_clip_norm=1.0)
    features = np.asarray(host_batch(99).features_BxF, np.float64)
    scaling = Standardisation.of(features.mean(axis=0), features.std(axis=0))
    state = init_state(model, scaling, optimizer, config, mesh)
    step = make_train_step(model, optimizer, schedule, config, state)
    before = layout(state)
    losses = []
    for number in range(steps):
        state, metrics, _ = step(state, BatchLayout(mesh, 16).to_devices(host_batch(number)), stop_flags(mesh, False))
        assert metrics["stop"] == 0
        losses.append(float(metrics["loss"]))
    assert layout(state) == before  # or the second step would be compiled anew
    return losses, state


def layout(state: TrainState) -> list[tuple]:
    return [(jax.typeof(leaf), leaf.sharding) for leaf in jax.tree.leaves(state)]


HARD = {"use_hard_negatives": True, "hard_negative_memory_size": 24}
SPLIT = (2, 2, 2)
FACTORISATIONS = [(d, f, 8 // (d * f)) for d in (1, 2, 4, 8) for f in (1, 2, 4, 8) if 8 % (d * f) == 0]


@pytest.mark.parametrize("mesh", FACTORISATIONS)
def test_eight_devices_however_laid_out_compute_what_one_does(mesh: tuple[int, int, int]) -> None:
    (losses, state), (expected_losses, expected) = (train(n, m, **HARD) for n, m in ((8, mesh), (1, (1, 1, 1))))
    np.testing.assert_allclose(losses, expected_losses, rtol=0, atol=1e-5)
    jax.tree.map(
        lambda ours, theirs: np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5), state.params, expected.params
    )


def test_eight_devices_see_the_focal_loss_of_one() -> None:
    options = {"loss": "focal_sigmoid", **HARD}
    np.testing.assert_allclose(train(8, **options)[0], train(1, **options)[0], rtol=0, atol=1e-5)


def test_parameters_lie_on_the_mesh_by_their_logical_axes() -> None:
    _, state = train(8, SPLIT, **HARD)
    kernel = state.params["sensor"]["linear_out"]["kernel"]
    assert kernel.shape == (16, 8)
    assert {shard.data.shape for shard in kernel.addressable_shards} == {(8, 4)}
    first_moment = optax.tree.get(state.opt_state, "mu")["sensor"]["linear_out"]["kernel"]
    assert first_moment.sharding == kernel.sharding


def test_the_memory_holds_the_newest_texts() -> None:
    _, state = train(1, (1, 1, 1), **HARD)
    expected = [*host_batch(3).text_ids_B, *host_batch(2).text_ids_B][:24]
    assert state.memory is not None
    assert state.memory.text_ids_M.tolist() == expected
    np.testing.assert_allclose(jnp.linalg.norm(state.memory.text_MxD, axis=1), 1, rtol=1e-5)


def test_training_learns_and_the_temperature_stays_above_a_hundredth() -> None:
    losses, state = train(1, steps=60, temperature_init=0.011, learning_rate=0.03, projection_dropout=0.0)
    assert losses[-1] < 0.1 * losses[0]
    assert jnp.exp(state.params["log_scale"]) <= 100 * (1 + 1e-6)


def test_a_fixed_temperature_stays() -> None:
    fixed = train(1, learnable_temperature=False)[1].params["log_scale"]
    assert fixed == -jnp.log(jnp.float32(0.07))
    assert train(1, (1, 1, 1), **HARD)[1].params["log_scale"] != fixed


def test_a_text_fits_every_window_that_has_it() -> None:
    """Window 0 drew caption 7 and has 9 too; window 1 drew 9; window 2 drew 7."""
    rows: list[Any] = [
        np.zeros((3, 1), np.float32),
        np.zeros((3, 1), np.int32),
        np.array([7, 9, 7], np.int32),
        np.array([[7, 9], [9, EMPTY], [7, EMPTY]], np.int32),
    ]
    batch = Batch(*map(jnp.asarray, rows))
    assert fitting(*matches(batch, multi_positive=True)).tolist() == [[1, 1, 1], [0, 1, 0], [1, 0, 1]]
    assert fitting(*matches(batch, multi_positive=False)).tolist() == np.eye(3, dtype=bool).tolist()


def test_standardised_features_have_mean_zero_and_deviation_one() -> None:
    features = np.random.default_rng(0).normal([5.0, -3e4, 0.0], [2.0, 1e3, 0.0], size=(500, 3)).astype(np.float32)
    scaling = Standardisation.of(features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64))
    scaled = np.asarray(scaling(jnp.asarray(features)))
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(scaled.std(axis=0), [1, 1, 0], atol=1e-3)


def test_what_was_not_finite_is_told_apart() -> None:
    config = TrainConfig.model_validate({"projection_hidden_dim": 16, "output_dim": 8, "batch_size": 16})
    mesh = make_mesh(devices=jax.devices()[:1])
    model = make_model(config, 32, WORDS)
    schedule = optax.constant_schedule(0.1)
    optimizer = make_optimizer(schedule, betas=(0.9, 0.98), weight_decay=0.0, grad_clip_norm=0.0)
    scaling = Standardisation(np.zeros(32, np.float32), np.ones(32, np.float32))
    state = init_state(model, scaling, optimizer, config, mesh)
    batch = host_batch(0)
    broken = batch._replace(features_BxF=np.where(np.arange(16)[:, None] == 3, np.nan, batch.features_BxF))
    step = make_train_step(model, optimizer, schedule, config, state)
    _, metrics, finite = step(state, BatchLayout(mesh, 16).to_devices(broken), stop_flags(mesh, True))
    assert metrics["stop"] == 1
    assert np.isnan(metrics["loss"])
    assert not finite.loss
    assert not finite.features
    assert all(jax.tree.leaves(finite.parameters))
    assert not finite.gradients["sensor"]["linear_in"]["kernel"]
