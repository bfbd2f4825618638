import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from chronos_jax import Chronos2Pipeline
from chronos_jax.__main__ import main
from chronos_jax.chronos2.random_weights import SIZES

TINY = ["--model", "random:tiny"]
HORIZON = 5

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "compiled")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command on a file; exit code, standard output, standard error."""

    def run(*args: str, model: list[str] = TINY) -> tuple[int, str, str]:
        code = main([*args, *model])
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def pipeline() -> Chronos2Pipeline:
    return Chronos2Pipeline.from_pretrained("random:tiny")


def table(names: tuple[str, ...] = ("007", "8"), steps: int = 30) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    times = pd.date_range("2024-01-01", periods=steps, freq="D")
    series = [pd.DataFrame({"item_id": name, "timestamp": times}) for name in names]
    df = pd.concat(series, ignore_index=True)
    df["target"] = rng.normal(size=len(df)).cumsum()
    df["load"] = rng.normal(size=len(df)).cumsum()
    df["weather"] = rng.choice(["sun", "rain"], len(df))
    return df


def ahead(df: pd.DataFrame) -> pd.DataFrame:
    """The covariates `load` and `weather` of the steps that follow."""
    future = df.groupby("item_id").tail(HORIZON).drop(columns="target")
    return future.assign(timestamp=future["timestamp"] + pd.Timedelta(days=HORIZON))


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Equal, but for the types that csv does not keep."""
    found = found.assign(timestamp=pd.to_datetime(found["timestamp"]).astype(expected["timestamp"].dtype))
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_a_forecast_is_that_of_predict_df(run: Run, pipeline: Chronos2Pipeline, suffix: str) -> None:
    df = table()
    for name, frame in (("data", df), ("future", ahead(df))):
        if suffix == ".parquet":
            frame.to_parquet(name + suffix)
        else:
            frame.to_csv(name + suffix, index=False)
    code, out, err = run(
        *("forecast", f"data{suffix}", "--horizon", "5", "--future", f"future{suffix}"),
        *("--quantiles", "0.25", "0.5", "0.75", "--out", f"forecast{suffix}"),
    )
    assert (code, out) == (0, "")
    assert err == f"forecast of 2 series, 5 steps: forecast{suffix}\n"
    expected = pipeline.predict_df(df, ahead(df), prediction_length=HORIZON, quantile_levels=[0.25, 0.5, 0.75])
    if suffix == ".parquet":
        found = pd.read_parquet(f"forecast{suffix}")
    else:
        found = pd.read_csv(f"forecast{suffix}", dtype={"item_id": str})
    same(found, expected)
    assert sorted(p.name for p in Path.cwd().iterdir()) == sorted(
        f"{x}{suffix}" for x in ("data", "future", "forecast")
    )


def test_without_out_only_the_table_is_on_standard_output(tmp_path: Path, pipeline: Chronos2Pipeline) -> None:
    """And ids are what stands in the file: 007 is not 7."""
    df = table().drop(columns=["load", "weather"])
    df.to_csv("data.csv", index=False)
    command = [sys.executable, "-m", "chronos_jax", "forecast", "data.csv", "--horizon", "5", *TINY]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines()[0].endswith("target_name,predictions,0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9")
    assert done.stdout.splitlines()[1].startswith("007,2024-01-31,target,")
    assert done.stderr == "forecast of 2 series, 5 steps: standard output\n"
    Path("forecast.csv").write_text(done.stdout)
    same(pd.read_csv("forecast.csv", dtype={"item_id": str}), pipeline.predict_df(df, prediction_length=HORIZON))


def test_help_answers_at_once_and_shows_the_options_as_they_are_spelled() -> None:
    code = "import sys; from chronos_jax.__main__ import main\ntry: main(['forecast', '--help'])\nfinally: "
    code += "assert not {'pandas', 'matplotlib', 'chronos_jax.chronos2.pipeline'} & set(sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    options = "horizon model id-column timestamp-column target future quantiles freq context-length batch-size"
    options += " cross-learning dtype device out plot overwrite progress"
    assert [option for option in options.split() if f"--{option} " not in shown] == []


def test_every_option_reaches_the_model(run: Run, pipeline: Chronos2Pipeline) -> None:
    columns = {"item_id": "shop", "timestamp": "day", "target": "sales"}
    table().rename(columns=columns).to_csv("data.csv", index=False)
    code, _, _ = run(
        *("forecast", "data.csv", "--horizon", "5", "--id-column", "shop", "--timestamp-column", "day"),
        *("--target", "sales", "load", "--freq", "h", "--context-length", "16", "--batch-size", "4", "--device", "cpu"),
        *("--cross-learning", "--out", "forecast.parquet"),
    )
    assert code == 0
    expected = pipeline.predict_df(
        table().rename(columns=columns),
        id_column="shop",
        timestamp_column="day",
        target=["sales", "load"],
        prediction_length=HORIZON,
        freq="h",
        context_length=16,
        batch_size=4,
        cross_learning=True,
    )
    found = pd.read_parquet("forecast.parquet")
    same(found.rename(columns={"day": "timestamp"}), expected.rename(columns={"day": "timestamp"}))


def test_bfloat16_is_close_but_not_the_same(run: Run) -> None:
    table(("a",)).to_csv("data.csv", index=False)
    for dtype in ("float32", "bfloat16"):
        code, _, _ = run("forecast", "data.csv", "--horizon", "5", "--dtype", dtype, "--out", f"{dtype}.parquet")
        assert code == 0
    wide, narrow = (pd.read_parquet(f"{dtype}.parquet")["predictions"] for dtype in ("float32", "bfloat16"))
    assert 0 < (wide - narrow).abs().max() < 0.1 * wide.abs().max()


def test_a_file_without_ids_is_one_series_named_after_it(run: Run) -> None:
    df = table(("any",))
    df.drop(columns="item_id").to_csv("my.shop.csv.gz", index=False)
    ahead(df).drop(columns="item_id").to_csv("future.csv", index=False)
    code, _, err = run(
        "forecast", "my.shop.csv.gz", "--horizon", "5", "--future", "future.csv", "--out", "forecast.parquet"
    )
    assert code == 0
    assert err.splitlines()[0] == "my.shop.csv.gz has no column item_id (--id-column): taken as one series, my.shop"
    assert set(pd.read_parquet("forecast.parquet")["item_id"]) == {"my.shop"}


def test_ids_of_two_files_may_be_of_different_types(run: Run) -> None:
    df = table(("7", "8"))
    df.astype({"item_id": int}).to_parquet("data.parquet")
    ahead(df).to_csv("future.csv", index=False)
    code, _, err = run(
        "forecast", "data.parquet", "--horizon", "5", "--future", "future.csv", "--out", "forecast.parquet"
    )
    assert code == 0, err
    assert pd.read_parquet("forecast.parquet")["item_id"].tolist() == [7] * HORIZON + [8] * HORIZON


@pytest.mark.parametrize("command", [["forecast", "--horizon", "5"], ["embed"]])
@pytest.mark.parametrize(("progress", "expected"), [("auto", None), ("on", True), ("off", False)])
def test_progress_reaches_the_pipeline(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: list[str], progress: str, expected: bool | None
) -> None:
    def started(*_: object, **options: object) -> None:
        raise ValueError(f"shown: {options['progress']}")

    table(("a",)).to_csv("data.csv", index=False)
    for method in ("predict_df", "embed"):
        monkeypatch.setattr(Chronos2Pipeline, method, started)
    assert run(command[0], "data.csv", *command[1:], "--progress", progress) == (1, "", f"error: shown: {expected}\n")


def test_years_are_times_not_nanoseconds(run: Run) -> None:
    table(("a",)).assign(timestamp=range(1990, 2020)).to_csv("data.csv", index=False)
    assert run("forecast", "data.csv", "--horizon", "5", "--out", "forecast.csv")[0] == 0
    assert pd.read_csv("forecast.csv")["timestamp"].tolist() == [f"{year}-01-01" for year in range(2020, 2025)]


def test_an_index_of_parquet_is_columns(run: Run) -> None:
    table().set_index(["item_id", "timestamp"]).to_parquet("data.parquet")
    assert run("forecast", "data.parquet", "--horizon", "5", "--out", "forecast.csv")[0] == 0


@pytest.mark.parametrize("targets", [("OT",), ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")])
def test_etth1(run: Run, pipeline: Chronos2Pipeline, etth1: Path, targets: tuple[str, ...]) -> None:
    options = ["--timestamp-column", "date", "--context-length", "64", "--out", "forecast.parquet"]
    code, _, err = run("forecast", str(etth1), "--horizon", "24", "--target", *targets, *options)
    assert code == 0, err
    df = pd.read_csv(etth1).assign(item_id="ETTh1")
    expected = pipeline.predict_df(
        df, timestamp_column="date", target=list(targets), prediction_length=24, context_length=64
    )
    assert len(expected) == 24 * len(targets)
    found = pd.read_parquet("forecast.parquet")
    same(found.rename(columns={"date": "timestamp"}), expected.rename(columns={"date": "timestamp"}))


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")])
def test_a_plot_shows_history_median_and_two_intervals(run: Run, suffix: str, magic: bytes) -> None:
    """Whatever the levels of the table, which has no others for it."""
    table(("a",)).to_csv("data.csv", index=False)
    code, _, err = run(
        *("forecast", "data.csv", "--horizon", "5", "--quantiles", "0.1", "0.5"),
        *("--out", "forecast.csv", "--plot", f"forecast{suffix}"),
    )
    assert code == 0
    assert err == f"forecast of 1 series, 5 steps: forecast.csv, forecast{suffix}\n"
    assert pd.read_csv("forecast.csv").columns[4:].tolist() == ["0.1", "0.5"]
    picture = Path(f"forecast{suffix}").read_bytes()
    assert picture.startswith(magic)
    if suffix == ".svg":
        assert [
            text for text in (b"history", b"median", b"80 % interval", b"40 % interval") if text not in picture
        ] == []


@pytest.mark.parametrize("out", ["embeddings.csv", "embeddings.parquet"])
def test_embeddings_are_those_of_the_pipeline(run: Run, pipeline: Chronos2Pipeline, out: str) -> None:
    """Covariates are seen; times need no frequency and may be in any order."""
    df = table(("b", "a")).drop(index=[3, 40]).drop(columns="weather")
    df.sample(frac=1, random_state=0).sort_values("item_id", ascending=False).to_csv("data.csv", index=False)
    code, _, err = run("embed", "data.csv", "--pooling", "max", "--layer", "1", "--context-length", "20", "--out", out)
    assert code == 0, err
    assert err == f"embedding of 2 series, {SIZES['tiny'].d_model} values each: {out}\n"
    found = pd.read_csv(out) if out.endswith(".csv") else pd.read_parquet(out)
    assert found.columns.tolist() == ["item_id", *(f"embedding_{d}" for d in range(SIZES["tiny"].d_model))]
    assert found["item_id"].tolist() == ["b", "a"]
    inputs = [
        {"target": rows["target"].to_numpy(), "past_covariates": {"load": rows["load"].to_numpy()}}
        for _, rows in df.groupby("item_id", sort=False)
    ]
    expected = pipeline.embed(inputs, pooling="max", layer=1, context_length=20)
    np.testing.assert_allclose(found.filter(like="embedding_"), expected, rtol=1e-4, atol=1e-5)


def test_categories_count_in_embeddings(run: Run) -> None:
    df = table(("a",)).drop(columns="load")
    df.to_csv("with.csv", index=False)
    df.drop(columns="weather").to_csv("without.csv", index=False)
    for name in ("with", "without"):
        assert run("embed", f"{name}.csv", "--out", f"{name}.parquet")[0] == 0
    seen, unseen = (pd.read_parquet(f"{name}.parquet").filter(like="embedding_") for name in ("with", "without"))
    assert (seen - unseen).abs().max(axis=None) > 1e-3


def test_warnings_are_one_line_each(run: Run) -> None:
    df = table()
    df.loc[df["item_id"] == "8", "target"] = np.nan
    df.to_csv("data.csv", index=False)
    code, _, err = run("forecast", "data.csv", "--horizon", "5", "--quantiles", "0.5", "0.999", "--out", "forecast.csv")
    assert code == 0
    *warned, written = err.splitlines()
    levels, unseen = sorted(warned, reverse=True)
    assert levels.startswith("warning: quantile levels [0.999] are beyond those of the model")
    assert unseen == "warning: nothing is observed in the target of series '8': what comes out means nothing"
    assert written.startswith("forecast of 2 series")
    code, _, err = run("embed", "data.csv", "--out", "embeddings.csv")
    assert code == 0
    assert err.splitlines()[:-1] == [unseen]


def unwanted(*_: object, **__: object) -> None:
    raise AssertionError("a model is loaded although something is wrong with the files")


FORECAST = ["forecast", "data.csv", "--horizon", "5"]


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (["forecast", "gone.csv", "--horizon", "5"], "there is no file gone.csv"),
        (["forecast", "data.json", "--horizon", "5"], "data.json has the suffix of no table: expected .csv"),
        (["forecast", "broken.parquet", "--horizon", "5"], "cannot read broken.parquet as a table"),
        (["forecast", "broken.csv.gz", "--horizon", "5"], "cannot read broken.csv.gz as a table"),
        (["forecast", "ragged.csv", "--horizon", "5"], "cannot read ragged.csv as a table"),
        ([*FORECAST, "--out", "forecast.txt"], "forecast.txt has the suffix of no table: expected .csv"),
        ([*FORECAST, "--out", "old.csv"], "old.csv exists; name another file, or pass --overwrite"),
        ([*FORECAST, "--out", "data.csv", "--overwrite"], "--out data.csv is the file of the series itself"),
        ([*FORECAST, "--out", "folder.csv", "--overwrite"], "cannot write folder.csv: it is a folder"),
        ([*FORECAST, "--out", "gone/a.csv"], "cannot write gone/a.csv: there is no folder gone"),
        ([*FORECAST, "--plot", "a.jpg"], "a.jpg has the suffix of no picture: expected .png, .pdf or .svg"),
        ([*FORECAST, "--plot", "old.png"], "old.png exists; name another file, or pass --overwrite"),
        ([*FORECAST, "--future", "gone.csv"], "there is no file gone.csv"),
        ([*FORECAST, "--future", "data.csv"], "error: data.csv cannot contain target columns"),
        ([*FORECAST, "--id-column", "shop"], "no column 'shop' (--id-column; there are item_id, timestamp, target,"),
        ([*FORECAST, "--timestamp-column", "day"], "no column 'day' (try --timestamp-column timestamp)"),
        ([*FORECAST, "--target", "sales"], "no column 'sales' (--target; with numbers there are target, load)"),
        (
            [*FORECAST, "--timestamp-column", "day", "--target", "sales"],
            "data.csv has no column 'day' (try --timestamp-column timestamp) and no column 'sales' (--target;",
        ),
        ([*FORECAST, "--target", "weather"], "Target column 'weather' must be numeric"),
        ([*FORECAST, "--freq", "often"], "Invalid frequency: --freq='often'"),
        ([*FORECAST, "--quantiles", "0.5", "1.5"], "quantile levels must be a list of numbers between 0 and 1"),
        (["forecast", "data.csv", "--horizon", "0"], "--horizon must be at least 1, found 0"),
        ([*FORECAST, "--context-length", "0"], "--context-length must be at least 1, found 0"),
        ([*FORECAST, "--batch-size", "0"], "--batch-size must be at least 1, found 0"),
        (["embed", "data.csv", "--batch-size", "0"], "--batch-size must be at least 1, found 0"),
        (
            ["forecast", "data.csv", "--horizon", "4", "--future", "ahead.csv"],
            "ahead.csv must contain --horizon=4 rows",
        ),
        (["embed", "unnamed.csv"], "error: unnamed.csv has 1 rows without an id (column 'item_id')"),
        (["forecast", "data.csv.zst", "--horizon", "5"], "expected .csv, .csv.gz (bz2, xz, zip) or .parquet"),
        (["forecast", "semicolons.csv", "--horizon", "5"], "its columns are separated by ';', expected commas"),
        (["forecast", "tabs.csv", "--horizon", "5"], "its columns are separated by tabs, expected commas"),
        (["embed", "data.csv", "--out", "embeddings.txt"], "embeddings.txt has the suffix of no table"),
        (["embed", "data.csv", "--target", "sales"], "no column 'sales' (--target;"),
        (["embed", "twice.csv"], "duplicate timestamps: series '007'"),
    ],
)
def test_what_is_wrong_with_files_is_said_in_one_line_before_a_model_is_loaded(
    run: Run, monkeypatch: pytest.MonkeyPatch, args: list[str], complaint: str
) -> None:
    monkeypatch.setattr(Chronos2Pipeline, "from_pretrained", unwanted)
    table().to_csv("data.csv", index=False)
    pd.concat([table(), table()]).to_csv("twice.csv", index=False)
    ahead(table()).to_csv("ahead.csv", index=False)
    table(("a", "")).iloc[:31].to_csv("unnamed.csv", index=False)
    for name, separator in (("semicolons", ";"), ("tabs", "\t")):
        table().to_csv(f"{name}.csv", index=False, sep=separator, decimal=",")
    Path("data.json").touch()
    Path("old.png").touch()
    Path("old.csv").touch()
    Path("folder.csv").mkdir()
    Path("broken.parquet").write_text("no parquet")
    Path("broken.csv.gz").write_text("no gzip")
    Path("ragged.csv").write_text("a,b\n1,2\n1,2,3\n")
    before = {path: path.is_file() and path.read_bytes() for path in Path.cwd().iterdir()}
    code, out, err = run(*args)
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert complaint in err
    assert err.count("\n") == 1
    assert {path: path.is_file() and path.read_bytes() for path in Path.cwd().iterdir()} == before


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--model", "no such model"], "'no such model' is neither an existing folder nor a hub name"),
        ([*TINY, "--device", "toaster"], "no device 'toaster'"),
    ],
)
def test_what_the_model_refuses_is_said_in_one_line(run: Run, options: list[str], complaint: str) -> None:
    table(("a",)).to_csv("data.csv", index=False)
    code, out, err = run(*FORECAST, *options, model=[])
    assert (code, out) == (1, "")
    assert err.startswith(f"error: {complaint}")
    assert err.count("\n") == 1


def test_what_exists_is_replaced_when_asked_for(run: Run) -> None:
    table(("a",)).to_csv("data.csv", index=False)
    Path("forecast.csv").write_text("old")
    assert run(*FORECAST, "--out", "forecast.csv", "--overwrite")[0] == 0
    assert len(pd.read_csv("forecast.csv")) == HORIZON


def test_control_c_ends_with_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    table(("a",)).to_csv("data.csv", index=False)
    monkeypatch.setattr(Chronos2Pipeline, "from_pretrained", interrupted)
    assert run(*FORECAST, "--out", "forecast.csv") == (130, "", "interrupted\n")
    assert not Path("forecast.csv").exists()


def test_a_reader_that_has_enough_is_no_error(tmp_path: Path) -> None:
    """As in `| head`: nothing is said, and the plot is there."""
    table(("a",)).to_csv("data.csv", index=False)
    command = [sys.executable, "-m", "chronos_jax", "forecast", "data.csv", "--horizon", "1000", *TINY]
    command += ["--plot", "forecast.png"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1
    assert Path("forecast.png").read_bytes().startswith(b"\x89PNG")
