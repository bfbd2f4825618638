import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from imports import assert_not_imported

from chronos_jax.frames.reading import LongFrame, read_frame


def read(df, future_df=None, target=("target",), prediction_length=2, **options) -> LongFrame:
    return read_frame(df, future_df, target=list(target), prediction_length=prediction_length, **options)


def assert_same(found: LongFrame, expected: LongFrame) -> None:
    assert list(found.ids_N) == list(expected.ids_N)
    np.testing.assert_array_equal(found.lengths_N, expected.lengths_N)
    np.testing.assert_array_equal(found.target_VxR, expected.target_VxR)
    for ours, theirs in ((found.past, expected.past), (found.future, expected.future)):
        assert list(ours) == list(theirs)
        for column in ours:
            assert ours[column].tolist() == theirs[column].tolist()
    pd.testing.assert_frame_equal(found.horizon, expected.horizon)


def future_of(df: pd.DataFrame, frame: LongFrame, *covariates: str) -> pd.DataFrame:
    """What is known ahead, taken from the beginning of df."""
    return frame.horizon.assign(**{c: df[c].to_numpy()[: len(frame.horizon)] for c in covariates})


def test_series_stand_one_after_another(long_frame):
    df = long_frame()
    frame = read(df, target=["target", "load"])
    assert list(frame.ids_N) == ["b", "c", "a"]
    assert frame.lengths_N.tolist() == [9, 4, 6]
    np.testing.assert_array_equal(frame.target_VxR, df[["target", "load"]].to_numpy(np.float32).T)
    assert list(frame.past) == ["temperature", "weather"]
    assert frame.past["weather"].tolist() == df["weather"].tolist()
    assert frame.future == {}
    assert frame.horizon["timestamp"].tolist()[:2] == list(pd.date_range("2024-01-29 09:00", periods=2, freq="h"))


@pytest.mark.parametrize("freq", ["h", "D", "W-MON", "MS", "QS", "B"])
@pytest.mark.parametrize("ids", [["b", "c", "a"], [7, 3, 5], [1.5, 0.5, 2.0]])
def test_the_horizon_is_that_of_the_reference(freq, ids, long_frame, reference_frames):
    df = long_frame(freq, dict(zip(ids, [30, 24, 26], strict=True)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = reference_frames.make_future_df(df, 5)
        given = reference_frames.make_future_df(df, 5, freq="3D")
    pd.testing.assert_frame_equal(read(df, prediction_length=5).horizon, expected)
    pd.testing.assert_frame_equal(read(df, prediction_length=5, freq="3D").horizon, given)


def test_rows_in_any_order_are_the_same_frame(long_frame):
    df = long_frame()
    future_df = future_of(df, read(df), "weather", "temperature")
    expected = read(df, future_df)
    interleaved = df.sort_values("timestamp", kind="stable")
    assert_same(read(interleaved, future_df.iloc[::-1]), expected)
    backwards = df.iloc[[*range(8, -1, -1), *range(12, 8, -1), *range(18, 12, -1)]]
    assert_same(read(backwards, future_df.sample(frac=1, random_state=0)), expected)


def test_nothing_is_modified(long_frame):
    df = long_frame().iloc[::-1]
    df["timestamp"] = df["timestamp"].astype(str)
    future_df = future_of(df, read(df), "weather")
    copies = df.copy(deep=True), future_df.copy(deep=True)
    frame = read(df, future_df)
    frame.horizon["timestamp"] = 0
    pd.testing.assert_frame_equal(df, copies[0])
    pd.testing.assert_frame_equal(future_df, copies[1])


def test_covariates_known_ahead_are_those_of_future_df(long_frame):
    df = long_frame()
    frame = read(df, future_of(df, read(df), "weather"))
    assert list(frame.past) == ["load", "temperature", "weather"]
    assert list(frame.future) == ["weather"]
    assert frame.future["weather"].tolist() == df["weather"].tolist()[:6]


@pytest.mark.parametrize("dtype", ["string", "object", "category", "string[pyarrow]"])
def test_ids_of_every_type_of_text(dtype, long_frame):
    df = long_frame()
    typed = df.astype({"item_id": dtype})
    future_df = future_of(df, read(df))
    expected = read(df, future_df)
    for future_type in (dtype, "str", "category"):
        assert_same(read(typed, future_df.astype({"item_id": future_type})), expected)
    assert_same(read(df, future_df.astype({"item_id": dtype})), expected)


def test_categories_without_rows_do_not_count(long_frame):
    df = long_frame()
    typed = df.assign(item_id=pd.Categorical(df["item_id"], ["z", "a", "b", "c"]))
    assert_same(read(typed, future_of(df, read(typed))), read(df, future_of(df, read(df))))


@pytest.mark.parametrize("dtype", ["int8", "uint32", "Int64", "float64", "Float32", "bool", "int64[pyarrow]"])
def test_targets_of_every_type_of_number(dtype, long_frame):
    df = long_frame().assign(target=[0, 1] * 9 + [1])
    frame = read(df.astype({"target": dtype}))
    np.testing.assert_array_equal(frame.target_VxR, [[0, 1] * 9 + [1]])


def test_missing_targets_of_nullable_type(long_frame):
    df = long_frame().assign(target=pd.array([1, None] * 9 + [None], dtype="Int64"))
    assert np.isnan(read(df).target_VxR).sum() == 10


def test_timestamps_as_text_and_numbers(long_frame):
    df = long_frame()
    as_text = df.assign(timestamp=df["timestamp"].dt.strftime("%Y-%m-%d %H:%M"))
    assert_same(read(as_text), read(df))
    nanoseconds = df.assign(timestamp=df["timestamp"].astype("datetime64[ns]").astype("int64"))
    assert read(nanoseconds).horizon["timestamp"].tolist() == read(df).horizon["timestamp"].tolist()


def test_time_zones_stay_and_days_keep_their_hour(long_frame):
    df = long_frame("D", {"b": 61, "a": 59}, tz="Europe/Berlin")
    frame = read(df.iloc[::-1])
    assert frame.horizon["timestamp"].dtype == df["timestamp"].dtype
    stamps = [t.isoformat() for t in frame.horizon["timestamp"][frame.horizon["item_id"] == "b"]]
    assert stamps == ["2024-03-30T00:00:00+01:00", "2024-03-31T00:00:00+01:00"]
    late = read(df, prediction_length=3).horizon["timestamp"].tolist()[2]
    assert late.isoformat() == "2024-04-01T00:00:00+02:00"
    in_utc = frame.horizon.assign(timestamp=frame.horizon["timestamp"].dt.tz_convert("UTC"), weather="sun")
    assert read(df, in_utc).future["weather"].tolist() == ["sun"] * 4


def test_polars_gives_what_pandas_gives(long_frame):
    df = long_frame()
    future_df = future_of(df, read(df), "weather", "temperature")
    expected = read(df, future_df)
    assert_same(read(pl.from_pandas(df), pl.from_pandas(future_df)), expected)
    assert_same(
        read(pl.from_pandas(df.sample(frac=1, random_state=1)).sort("item_id"), freq="h"),
        read(df.sort_values("item_id", kind="stable"), freq="h"),
    )
    assert_same(read(pl.from_pandas(df), future_df), expected)


def test_unvalidated_frames_are_taken_as_they_stand(long_frame):
    df = long_frame()
    future_df = future_of(df, read(df), "weather")
    assert_same(read(df, future_df, validate=False), read(df, future_df))
    late = future_df.assign(timestamp=future_df["timestamp"] + pd.Timedelta("1h"))
    assert_same(read(df, late, validate=False), read(df, future_df))


def test_pandas_alone_needs_no_narwhals():
    assert_not_imported(
        "narwhals",
        "import pandas as pd; from chronos_jax.frames.reading import read_frame;"
        "df = pd.DataFrame({'item_id': 1, 'timestamp': pd.date_range('2024', periods=4), 'target': 1.0});"
        "read_frame(df, target=['target'], prediction_length=1)",
    )
