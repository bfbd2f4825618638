import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from reference import reference_pipeline

from chronos_jax.frames.forecast import forecast_frame
from chronos_jax.frames.reading import read_frame

LEVELS = [0.1, 0.5, 0.95]


def forecast(df, target=("target",), prediction_length=2, **options):
    """A forecast that counts: every value tells its place."""
    frame = read_frame(df, target=list(target), prediction_length=prediction_length, **options)
    shape = len(frame.ids_N), len(target), prediction_length, len(LEVELS)
    quantiles = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    return forecast_frame(frame, list(target), LEVELS, quantiles[..., 1], quantiles)


@pytest.fixture(scope="module")
def reference(reference_checkpoint):
    return reference_pipeline(reference_checkpoint)


@pytest.mark.parametrize(
    ("ids", "target"),
    [(["b", "c", "a"], ["target"]), ([7, 3, 5], ["target", "load"])],
)
def test_the_frame_is_that_of_the_reference(ids, target, long_frame, reference):
    df = long_frame("D", dict(zip(ids, [9, 4, 6], strict=True))).sort_values("timestamp", kind="stable")
    future_df = read_frame(df, target=target, prediction_length=3).horizon.assign(weather="sun")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = reference.predict_df(
            df, future_df, target=target, prediction_length=3, quantile_levels=LEVELS, batch_size=8
        )
    frame = read_frame(df, future_df, target=target, prediction_length=3)
    numbers = expected[["predictions", *map(str, LEVELS)]].to_numpy().reshape(3, len(target), 3, 4)
    found = forecast_frame(frame, target, LEVELS, numbers[..., 0], numbers[..., 1:])
    pd.testing.assert_frame_equal(found, expected)


def test_rows_are_series_then_targets_then_steps(long_frame):
    result = forecast(long_frame(), ["target", "load"])
    assert list(result.columns) == ["item_id", "timestamp", "target_name", "predictions", "0.1", "0.5", "0.95"]
    assert result["item_id"].tolist() == ["b"] * 4 + ["c"] * 4 + ["a"] * 4
    assert result["target_name"].tolist() == ["target", "target", "load", "load"] * 3
    np.testing.assert_array_equal(result["0.95"], np.arange(2, 36, 3, dtype=np.float32))
    assert result["predictions"].dtype == np.float32


def test_many_levels_do_not_fragment(long_frame):
    frame = read_frame(long_frame(), target=["target"], prediction_length=2)
    levels = [i / 200 for i in range(1, 200)]
    result = forecast_frame(
        frame, ["target"], levels, np.zeros((3, 1, 2), np.float32), np.zeros((3, 1, 2, 199), np.float32)
    )
    assert result.shape == (6, 203)


@pytest.mark.parametrize("tz", [None, "Europe/Berlin"])
@pytest.mark.parametrize("id_type", [pl.String, pl.Categorical, pl.Enum(["a", "b", "c"])])
def test_polars_gives_polars_of_the_given_types(tz, id_type, long_frame):
    df = long_frame(tz=tz)
    given = pl.from_pandas(df).with_columns(
        pl.col("item_id").cast(id_type), pl.col("timestamp").dt.cast_time_unit("ms")
    )
    result = forecast(given)
    assert isinstance(result, pl.DataFrame)
    assert result.schema["item_id"] == given.schema["item_id"]
    assert result.schema["timestamp"] == given.schema["timestamp"]
    expected = forecast(df)
    pd.testing.assert_frame_equal(
        result.with_columns(pl.col("item_id").cast(pl.String)).to_pandas(), expected, check_dtype=False
    )
    assert result.join(given.select("item_id").unique(), on="item_id").height == result.height


@pytest.mark.parametrize(
    ("freq", "expected", "times"),
    [("D", pl.Date, ["02-07 00", "02-08 00"]), ("12h", pl.Datetime, ["02-06 12", "02-07 00"])],
)
def test_dates_of_polars_stay_dates_where_they_can(freq, expected, times, long_frame):
    given = pl.from_pandas(long_frame("D")).with_columns(pl.col("timestamp").cast(pl.Date))
    result = forecast(given, freq=freq)
    assert result.schema["timestamp"] == expected
    assert result["timestamp"][:2].cast(pl.Datetime).dt.to_string("%m-%d %H").to_list() == times


def test_timestamps_as_text_become_timestamps(long_frame):
    given = pl.from_pandas(long_frame()).with_columns(pl.col("timestamp").dt.to_string("%Y-%m-%d %H:%M"))
    assert forecast(given).schema["timestamp"] == pl.Datetime
