import numpy as np
import pandas as pd
import polars as pl
import pytest

from chronos_jax.frames.reading import read_frame


def read(df, future_df=None, target=("target",), prediction_length=2, **options):
    return read_frame(df, future_df, target=list(target), prediction_length=prediction_length, **options)


@pytest.fixture
def df(long_frame):
    return long_frame()


@pytest.fixture
def future_df(df):
    return read(df).horizon.assign(temperature=1.0, weather="sun")


@pytest.mark.parametrize("given", [{"target": [1.0]}, np.zeros((3, 3)), pd.Series([1.0]), None])
def test_what_is_no_frame(given):
    with pytest.raises(TypeError, match=r"df must be a DataFrame .*found"):
        read(given)


def test_lazy_frames_are_to_be_collected(df):
    with pytest.raises(TypeError, match="found LazyFrame; collect it first"):
        read(pl.from_pandas(df).lazy())
    with pytest.raises(TypeError, match="future_df must be a DataFrame"):
        read(df, [1])


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda d: d.iloc[:0], {}, "df is empty"),
        (lambda d: d, {"prediction_length": 0}, "prediction_length must be at least 1, got 0"),
        (lambda d: d, {"prediction_length": -3}, "prediction_length must be at least 1, got -3"),
        (
            lambda d: d.rename(columns={"target": "Target"}),
            {},
            r"df does not contain all expected columns. Missing columns: \['target'\]; it has \['item_id'.*"
            "did you mean 'Target' for 'target'",
        ),
        (
            lambda d: d,
            {"id_column": "zzz", "timestamp_column": "qqq"},
            r"Missing columns: \['zzz', 'qqq'\]; it has \[[^]]*\]$",
        ),
        (
            lambda d: d.set_index(["item_id", "timestamp"]),
            {},
            r"Missing columns.*; \['item_id', 'timestamp'\] are in the index, call df.reset_index\(\) first",
        ),
        (lambda d: d.rename(columns={"load": "weather"}), {}, r"df has several columns named \['weather'\]"),
        (lambda d: d, {"target": []}, "target names no column"),
        (lambda d: d, {"target": ["load", "target", "load"]}, "column 'load' has two roles"),
        (lambda d: d, {"target": ["item_id"]}, "column 'item_id' has two roles"),
        (lambda d: d, {"timestamp_column": "item_id"}, "column 'item_id' has two roles"),
        (
            lambda d: d.rename(columns={"item_id": "predictions"}),
            {"id_column": "predictions"},
            "'predictions' would be",
        ),
        (lambda d: d, {"target": ["weather"]}, "Target column 'weather' must be numeric, got dtype .*to_numeric"),
        (lambda d: d.assign(target=d["target"] + 1j), {}, "must be numeric, got dtype complex"),
        (
            lambda d: d.assign(item_id=d["item_id"].where(d["item_id"] != "c")),
            {},
            r"4 rows without an id \(column 'item_id'\), the first is row 9",
        ),
        (
            lambda d: d.assign(timestamp=d["timestamp"].where(d.index % 8 != 3)),
            {},
            r"df has 2 rows without a timestamp \(column 'timestamp'\), the first is row 3",
        ),
        (
            lambda d: d.assign(timestamp=pd.PeriodIndex(d["timestamp"], freq="h")),
            {},
            "df column 'timestamp' cannot be read as timestamps: .*pd.to_datetime",
        ),
        (
            lambda d: d.assign(timestamp=d["timestamp"].astype(str).where(d.index != 5, "2024-13-45 00:00:00")),
            {},
            "df column 'timestamp' cannot be read as timestamps: .*2024-13-45",
        ),
        (
            lambda d: d.assign(timestamp=d["timestamp"].where(d.index != 11, d["timestamp"][10])),
            {},
            "duplicate timestamps: series 'c' has more than one row at 2024-01-29 02:00:00",
        ),
        (
            lambda d: pd.concat([d, d.iloc[[14]]]),
            {"freq": "h"},
            "duplicate timestamps: series 'a' has more than one row at 2024-01-29 03:00:00",
        ),
        (lambda d: d.drop(index=4), {}, "Could not infer frequency for series 'b': steps are .* from 2024-01-29 03:"),
        (lambda d: d.groupby("item_id").head(2), {}, "no time series has at least 3 rows; give freq="),
        (lambda d: d, {"freq": "fortnight"}, "Invalid frequency: freq='fortnight'"),
        (
            lambda d: d.assign(target=d["target"].where(d.index != 10, np.inf)),
            {},
            "df column 'target' holds values that are infinite or beyond float32, first in series 'c'",
        ),
        (
            lambda d: d.assign(temperature=d["temperature"].where(d.index != 18, -1e39)),
            {},
            "df column 'temperature' holds values that are infinite or beyond float32, first in series 'a'",
        ),
    ],
)
def test_what_is_wrong_with_the_frame_is_said(df, change, options, message):
    with pytest.raises(ValueError, match=message):
        read(change(df), **options)


def test_a_series_of_other_frequency_is_named(df):
    df.loc[df["item_id"] == "a", "timestamp"] = pd.date_range("2024-01-01", periods=6)
    with pytest.raises(ValueError, match=r"same frequency, found 'h' \(series 'b'\), 'D' \(series 'a'\)"):
        read(df)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda f: f.drop(columns="timestamp"),
            r"future_df does not contain all .*Missing columns: \['timestamp'\]",
        ),
        (
            lambda f: f.drop(columns="item_id"),
            r"future_df does not contain all .*Missing columns: \['item_id'\]",
        ),
        (
            lambda f: f.assign(target=1.0),
            r"future_df cannot contain target columns. Target columns found: \['target'\]",
        ),
        (
            lambda f: f.assign(price=1.0),
            r"future_df cannot contain columns not present in df. Extra columns: \['price'\]",
        ),
        (lambda f: f.rename(columns={"temperature": "weather"}), r"future_df has several columns named \['weather'\]"),
        (
            lambda f: f.replace({"item_id": {"b": "x", "a": "y"}}),
            r"must have the same time series IDs as df, but it has ids not present in df \['x', 'y'\] and it lacks "
            r"\['b', 'a'\]",
        ),
        (lambda f: f.iloc[2:], r"must have the same time series IDs as df, but it lacks \['b'\]"),
        (lambda f: f.assign(item_id=range(6)), r"not present in df \[0, 1, 2, 3, 4, …\]"),
        (
            lambda f: f.iloc[:-1],
            r"future_df must contain prediction_length=2 rows per series; series 'a' has 1 \(found 1 of 3",
        ),
        (lambda f: pd.concat([f, f.iloc[[0]]]), "prediction_length=2 rows per series; series 'b' has 3"),
        (
            lambda f: f.assign(timestamp=f["timestamp"].where(f.index != 3, pd.Timestamp("2024-02-01"))),
            "future_df timestamps do not match the expected prediction timestamps: series 'c', step 2 is at "
            "2024-02-01 00:00:00, expected 2024-01-29 06:00:00",
        ),
        (lambda f: f.assign(timestamp=f["timestamp"].dt.tz_localize("UTC")), "give both a time zone or neither"),
        (
            lambda f: f.assign(timestamp=f["timestamp"].where(f.index != 3)),
            "future_df has 1 rows without a timestamp",
        ),
        (
            lambda f: f.assign(temperature=f["temperature"].where(f.index != 2, np.inf)),
            "future_df column 'temperature' holds values that are infinite .* in series 'c'",
        ),
    ],
)
def test_what_is_wrong_with_the_future_is_said(df, future_df, change, message):
    with pytest.raises(ValueError, match=message):
        read(df, change(future_df))


def test_missing_values_of_covariates_and_infinite_text_are_fine(df, future_df):
    df.loc[3, ["temperature", "weather"]] = np.nan, "inf"
    future_df.loc[3, ["temperature", "weather"]] = np.nan, None
    read(df, future_df)


@pytest.mark.filterwarnings("ignore:Could not infer format")
def test_text_that_is_no_timestamp(df):
    with pytest.raises(ValueError, match=r"df column 'timestamp' cannot be read as timestamps: .*noon"):
        read(df.assign(timestamp="noon o'clock"))


def test_numbers_name_series_as_numbers(long_frame):
    df = long_frame(lengths={7: 5, 3: 5})
    with pytest.raises(ValueError, match="duplicate timestamps: series 3 has"):
        read(pd.concat([df, df.iloc[[6]]]))
