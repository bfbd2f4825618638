import sys
from collections.abc import Callable
from io import BytesIO, TextIOWrapper
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from chronos_jax import Chronos2Pipeline
from chronos_jax.__main__ import main
from chronos_jax.commands.files import read_table, write_table

NOTE = "timestamps have different offsets from UTC: read as UTC"
HORIZON = 5

Forecast = Callable[..., tuple[pd.DataFrame, list[str]]]


@pytest.fixture
def forecast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Forecast:
    """Runs the command of this name; its answer as csv has it, and the lines of standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "compiled")

    def run(*args: str) -> tuple[pd.DataFrame, list[str]]:
        out = ["--out", "forecast.csv", "--overwrite"]
        code = main(["forecast", *args, "--horizon", str(HORIZON), "--model", "random:tiny", *out])
        err = capsys.readouterr().err
        assert code == 0, err
        return pd.read_csv("forecast.csv", keep_default_na=False, dtype={"item_id": str}), err.splitlines()

    return run


def series(name: str, times: pd.DatetimeIndex) -> pd.DataFrame:
    values = np.random.default_rng(0).normal(size=len(times)).cumsum()
    return pd.DataFrame({"item_id": name, "timestamp": times, "target": values, "load": values[::-1]})


def test_ids_are_text_and_only_an_empty_one_is_missing(forecast: Forecast) -> None:
    names = ["NA", "null", "None", "nan", "1e5", "007"]
    times = pd.date_range("2024-01-01", periods=20 + HORIZON, freq="D")
    df = pd.concat([series(name, times) for name in names])
    df[df["timestamp"] < times[20]].to_csv("data.csv", index=False)
    df[df["timestamp"] >= times[20]].drop(columns="target").to_csv("future.csv", index=False)
    answer, _ = forecast("data.csv", "--future", "future.csv")
    assert answer["item_id"].unique().tolist() == names
    Path("empty.csv").write_text("item_id,timestamp\nNA,2024-01-01\n,2024-01-01\n")
    assert read_table(Path("empty.csv"), "item_id", "timestamp")["item_id"].isna().tolist() == [False, True]


def test_offsets_that_change_are_read_as_utc(forecast: Forecast) -> None:
    """Of the history and of covariates ahead."""
    times = pd.date_range("2024-03-30 08:00", periods=40 + HORIZON, freq="h", tz="Europe/Berlin")
    df = series("a", times)
    past, future = df.iloc[:40], df.iloc[40:].drop(columns="target")
    past.to_csv("data.csv", index=False)
    future.to_csv("future.csv", index=False)
    answer, said = forecast("data.csv", "--future", "future.csv")
    assert said[:-1] == [f"data.csv: {NOTE}"]
    pipeline = Chronos2Pipeline.from_pretrained("random:tiny")
    expected = pipeline.predict_df(past, future, prediction_length=HORIZON)
    assert pd.to_datetime(answer["timestamp"]).tolist() == expected["timestamp"].dt.tz_convert("UTC").tolist()
    np.testing.assert_allclose(answer["predictions"], expected["predictions"], rtol=1e-5, atol=1e-5)
    df.iloc[:14].to_csv("winter.csv", index=False)
    df.iloc[14 : 14 + HORIZON].drop(columns="target").to_csv("change.csv", index=False)
    answer, said = forecast("winter.csv", "--future", "change.csv")
    assert said[:-1] == [f"change.csv: {NOTE}"]
    assert pd.to_datetime(answer["timestamp"]).tolist() == times[14 : 14 + HORIZON].tolist()


def test_what_is_written_across_a_change_of_clocks_can_be_read(forecast: Forecast) -> None:
    df = series("a", pd.date_range("2024-03-30 08:00", periods=14, freq="h", tz="Europe/Berlin"))
    df.to_parquet("data.parquet")
    answer, _ = forecast("data.parquet")
    assert answer["timestamp"].str[-6:].unique().tolist() == ["+01:00", "+02:00"]
    Path("forecast.csv").rename("data.csv")
    _, said = forecast("data.csv", "--target", "predictions")
    assert said[0] == f"data.csv: {NOTE}"


def test_times_that_cannot_be_parsed_stay_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "data.csv"
    file.write_text("item_id,timestamp\na,2024-01-01 00:00+01:00\na,2024-01-01 00:00\na,noon\n")
    times = read_table(file, "item_id", "timestamp")["timestamp"]
    assert times.tolist() == ["2024-01-01 00:00+01:00", "2024-01-01 00:00", "noon"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("columns", "name"), [("item_id", "NA"), ("other", "stdin")])
def test_data_may_come_from_standard_input(
    forecast: Forecast, monkeypatch: pytest.MonkeyPatch, columns: str, name: str
) -> None:
    df = series("NA", pd.date_range("2024-01-01", periods=20, freq="D")).rename(columns={"item_id": columns})
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(df.to_csv(index=False).encode())))
    answer, said = forecast("-")
    assert answer["item_id"].unique().tolist() == [name]
    note = "standard input has no column item_id (--id-column): taken as one series, stdin"
    assert said[:-1] == ([note] if name == "stdin" else [])


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half_written(_: pd.DataFrame, file: Path, **__: object) -> None:
        file.write_text("half")
        raise OSError("no space left on device")

    file = tmp_path / "forecast.csv"
    file.write_text("old")
    monkeypatch.setattr(pd.DataFrame, "to_csv", half_written)
    with pytest.raises(OSError, match="no space left"):
        write_table(pd.DataFrame(), file)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("forecast.csv", "old")]
