from pathlib import Path

import jax
import numpy as np
import pytest

from chronos_jax import Chronos2Pipeline
from chronos_jax.sharding import make_mesh
from train.config import TrainConfig
from train.encoder import load_encoder, loc_scale_features
from train.smarthome.records import open_split
from train.smarthome.statistics import statistics_features


@pytest.fixture(scope="module")
def windows(simulated_home: Path) -> np.ndarray:
    return open_split(simulated_home, "validation").series()[:6]


def features(windows: np.ndarray, **keys: object) -> np.ndarray:
    return load_encoder(TrainConfig.model_validate({"chronos_model_name": "random:tiny"} | keys))(windows)


def test_features_are_the_pooled_embedding_then_level_and_spread(windows: np.ndarray) -> None:
    pipeline = Chronos2Pipeline.from_pretrained("random:tiny")
    pooled = np.stack(pipeline.embed(windows, pooling="max", pool_variates=False)).reshape(6, -1)
    expected = np.concatenate([pooled, loc_scale_features(windows)], axis=1)
    np.testing.assert_allclose(features(windows, pooling="max"), expected, atol=1e-5)
    np.testing.assert_allclose(features(windows, pooling="max", include_loc_scale=False), pooled, atol=1e-5)


def test_variates_can_be_averaged(windows: np.ndarray) -> None:
    pipeline = Chronos2Pipeline.from_pretrained("random:tiny")
    expected = pipeline.embed(windows, pooling="mean", layer=1)
    averaged = features(windows, variate_pooling="mean", layer=1, include_loc_scale=False)
    np.testing.assert_allclose(averaged, expected, atol=1e-5)


def test_the_level_is_lost_without_loc_and_scale_and_kept_with_them(windows: np.ndarray) -> None:
    """Another room is another level of the same movement: instance normalisation makes the two alike."""
    elsewhere = windows + np.float32(0.25)
    alike = features(windows, include_loc_scale=False), features(elsewhere, include_loc_scale=False)
    np.testing.assert_allclose(*alike, atol=1e-3)
    assert np.abs(features(windows) - features(elsewhere)).max() > 0.1


def test_passes_are_counted_by_batches(windows: np.ndarray) -> None:
    encoder = load_encoder(TrainConfig.model_validate({"encoder": "statistics", "encoder_batch_size": 4}))
    np.testing.assert_array_equal(encoder(windows), statistics_features(windows))
    assert encoder.passes == 2


def test_identity_changes_with_weights_and_options() -> None:
    def identity(**keys: object) -> dict:
        return load_encoder(TrainConfig.model_validate({"chronos_model_name": "random:tiny"} | keys)).identity

    assert identity() == identity(chronos_model_name="random:tiny@0", learning_rate=0.5, batch_size=8)
    others = [
        {"chronos_model_name": "random:tiny@1"},
        {"pooling": "last"},
        {"layer": 1},
        {"variate_pooling": "mean"},
        {"include_loc_scale": False},
        {"use_amp": True},
        {"encoder": "statistics"},
    ]
    assert all(identity() != identity(**keys) for keys in others)


MESHES = [
    {"data": data, "fsdp": fsdp, "tensor": 8 // data // fsdp}
    for data in (1, 2, 4, 8)
    for fsdp in (1, 2, 4, 8)
    if data * fsdp <= 8
]


@pytest.fixture(scope="module")
def alone(windows: np.ndarray) -> np.ndarray:
    return features(windows)


@pytest.mark.parametrize("shape", MESHES, ids=str)
def test_a_mesh_of_any_shape_gives_the_features_of_one_device(
    windows: np.ndarray, alone: np.ndarray, shape: dict[str, int]
) -> None:
    config = TrainConfig.model_validate({"chronos_model_name": "random:tiny"})
    encoder = load_encoder(config, make_mesh(shape))
    np.testing.assert_allclose(encoder(windows), alone, rtol=0, atol=1e-5)
    assert encoder.identity == load_encoder(config).identity


def test_widths_that_a_mesh_cannot_split_are_refused() -> None:
    config = TrainConfig.model_validate({"chronos_model_name": "random:tiny"})
    with pytest.raises(
        ValueError, match=r"a width of 64, which the 3 devices .* \(mesh axis \"tensor\"\) cannot split"
    ):
        load_encoder(config, make_mesh({"data": 2, "tensor": 3}, jax.devices()[:6]))


def test_level_and_spread_count_what_is_known() -> None:
    nan = np.nan
    series = np.array([[[nan, 1.0, 3.0], [nan, nan, nan], [1e6, 1e6, 1e6]]], np.float32)
    expected = np.arcsinh([[2.0, 0.0, 1e6, 1.0, 0.0, 0.0]])
    np.testing.assert_allclose(loc_scale_features(series), expected, rtol=1e-6)
