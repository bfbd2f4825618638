import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.smarthome.statistics import statistics_features


def random_series(batch: int, steps: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(batch, 5, steps)).astype(np.float32)


def test_seventy_features_in_the_order_of_the_earlier_encoder() -> None:
    series = random_series(3, 50)
    features = statistics_features(series)
    assert features.shape == (3, 70)
    assert features.dtype == np.float32
    statistics = [series.mean(2), series.std(2, ddof=1), series.max(2), series.min(2)]
    np.testing.assert_allclose(features[:, :20], np.concatenate(statistics, axis=1), rtol=1e-5, atol=1e-6)
    positions = [index * 249 // 49 for index in range(50)]
    np.testing.assert_array_equal(features[:, 20:], series.reshape(3, 250)[:, positions])


def test_samples_begin_with_the_first_and_end_with_the_last_value() -> None:
    series = random_series(1, 37)
    features = statistics_features(series)
    assert features[0, 20] == series[0, 0, 0]
    assert features[0, -1] == series[0, -1, -1]


def test_padding_changes_nothing() -> None:
    series = random_series(2, 20)
    padded = np.concatenate([np.full((2, 5, 30), np.nan, dtype=np.float32), series], axis=2)
    np.testing.assert_array_equal(statistics_features(padded), statistics_features(series))


def test_a_window_does_not_depend_on_the_others() -> None:
    series = random_series(4, 20)
    series[1, :, :15] = np.nan
    one_by_one = np.concatenate([statistics_features(series[index : index + 1]) for index in range(4)])
    np.testing.assert_array_equal(statistics_features(series), one_by_one)


def test_few_values_are_followed_by_zeros() -> None:
    series = random_series(1, 3)
    samples = statistics_features(series)[0, 20:]
    np.testing.assert_array_equal(samples[:15], series.reshape(-1))
    np.testing.assert_array_equal(samples[15:], 0)


@pytest.mark.parametrize("present", [0, 1])
def test_no_value_and_a_single_one(present: int) -> None:
    series = np.full((1, 5, 4), np.nan, dtype=np.float32)
    series[:, :, 4 - present :] = 2.5
    features = statistics_features(series)[0]
    np.testing.assert_array_equal(features[:20].reshape(4, 5)[:, 0], [2.5, 0, 2.5, 2.5] if present else [0, 0, 0, 0])


@given(steps=st.integers(1, 60), missing=st.floats(0, 1), seed=st.integers(0, 1_000))
def test_always_finite(steps: int, missing: float, seed: int) -> None:
    series = random_series(2, steps, seed)
    series[np.random.default_rng(seed).random(series.shape) < missing] = np.nan
    assert np.isfinite(statistics_features(series)).all()
