"""The command, with real processes of both sides."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from benchmarks.side_by_side.__main__ import main, parse
from benchmarks.side_by_side.cases import CASES
from benchmarks.side_by_side.loading import Setting
from benchmarks.side_by_side.machine import facts
from benchmarks.side_by_side.results import results_file, save_case
from benchmarks.side_by_side.starts import EMPTY_CACHE
from benchmarks.side_by_side.training import Training, train_both

needs_reference = pytest.mark.skipif(
    find_spec("chronos") is None, reason="chronos-forecasting is not installed (extra: test)"
)
TINY = ("--size", "tiny", "--device", "cpu")


@needs_reference
def test_cases_are_measured_compared_and_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = results_file(tmp_path, "tiny", "float32", "cpu")
    earlier = {"title": "of an earlier call", "machine": facts("cpu")["machine"]}
    save_case(path, "multivariate", earlier)
    assert main([*TINY, "--results", str(tmp_path), "--cases", "embed-64", "cold-start", "--repeats", "1"]) == 0
    cases = json.loads(path.read_text())["cases"]
    assert list(cases) == ["embed-64", "multivariate", "cold-start"]
    assert cases["multivariate"] == earlier

    embedded, started = cases["embed-64"], cases["cold-start"]
    assert {side: len(runs) for side, runs in embedded["runs"].items()} == {"chronos_jax": 1, "reference": 1}
    assert started["runs"].keys() == {"chronos_jax", "reference", EMPTY_CACHE}
    for found in (embedded, started):
        assert 0 < found["difference"]["value"] < found["difference"]["tolerance"]
        assert found["ratio"]["value"] > 0
        assert found["command"].startswith("python -m benchmarks.side_by_side --size tiny")
        assert found["options"] == {"repeats": 1, "compiled": False}
        assert found["versions"].keys() >= {"jax", "flax", "torch", "chronos-forecasting", "python", "commit"}
        assert found["machine"]["cpus"] > 0
    assert embedded["threads"].keys() == {"chronos_jax", "reference"}
    out = capsys.readouterr().out
    assert [line.split(" | ")[0] for line in out.splitlines() if line.startswith(("| embed", "| process"))] == [
        f"| {CASES[case].title}" for case in ("embed-64", "cold-start")
    ]


@needs_reference
def test_bfloat16_is_held_against_float32(tmp_path: Path) -> None:
    options = "--dtype", "bfloat16", "--results", str(tmp_path), "--cases", "long-context", "--repeats", "1"
    assert main([*TINY, *options]) == 0
    found = json.loads(results_file(tmp_path, "tiny", "bfloat16", "cpu").read_text())["cases"]["long-context"]
    assert found["difference"]["value"] > 1e-4, "bfloat16 rounds"
    assert 0.01 < found["error"]["value"] <= found["error"]["tolerance"]


@needs_reference
def test_training_learns_from_the_same_features_on_both_sides(tmp_path: Path, tiny_checkpoint: Path) -> None:
    setting = Setting(tiny_checkpoint, "cpu", "float32")
    done: list[str] = []
    runs, told = train_both(setting, Training(256, 2, 1), 1, tmp_path, done.append)
    assert told["difference"] < 1e-5
    assert sorted(done) == ["chronos_jax", "reference"]
    (reference,) = runs["reference"]
    assert reference["seconds"] == pytest.approx(reference["start_seconds"] + 2 * reference["epoch_seconds"][0])
    with np.load(tmp_path / "tables.npz") as tables:
        assert tables["series_NxVxT"].shape == (256, 5, 50)


def test_a_process_that_fails_ends_the_command_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.side_by_side.__main__._checkpoint", lambda room, size: room / "absent")
    assert main([*TINY, "--results", str(tmp_path / "results"), "--cases", "embed-64"]) == 1
    error = capsys.readouterr().err
    assert "error: chronos_jax ended too early: it ended with exit code 1" in error
    assert "absent" in error
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("wrong", [["--repeats", "0"], ["--cases", "no-such-case"], ["--size", "huge"]])
def test_wrong_options_are_refused(wrong: list[str]) -> None:
    with pytest.raises(SystemExit):
        parse(wrong)


def test_torch_compile_is_refused_for_cases_of_whole_processes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--compile", "--cases", "cold-start"])
    assert "--compile is not for cold-start" in capsys.readouterr().err
    assert set(CASES) - set(parse(["--compile"]).cases) == {"cold-start", "training"}
    assert set(CASES) - set(parse([]).cases) == {"training"}


def test_results_of_another_machine_are_told_of_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.side_by_side.__main__.run_case", lambda *_: pytest.fail("measured"))
    path = results_file(tmp_path, "tiny", "float32", "cpu")
    save_case(path, "multivariate", {"machine": {"processor": "another"}})
    assert main([*TINY, "--results", str(tmp_path), "--cases", "embed-64"]) == 1
    assert (
        "has results of another machine, {'processor': 'another'}: name a folder of your own" in capsys.readouterr().err
    )


def test_a_page_without_a_place_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.side_by_side.__main__.PAGES", [tmp_path / "absent.md"])
    monkeypatch.setattr("benchmarks.side_by_side.__main__.compare", lambda *_: pytest.fail("measured"))
    assert main([*TINY, "--cases", "embed-64", "--write"]) == 1
    assert "has no place for the table" in capsys.readouterr().err


def test_without_cases_nothing_is_measured() -> None:
    assert parse(["--cases", "--write"]).cases == []
    assert main(["--cases"]) == 0
