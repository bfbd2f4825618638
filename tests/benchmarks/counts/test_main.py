"""Exit codes and words of the command; the counting itself is replaced."""

import json
from pathlib import Path

import pytest

from benchmarks.counts import __main__ as command
from benchmarks.counts.recorded import Counts
from train.compilation.topology import ENVIRONMENT, REQUIRED

COUNTED = Counts({"calls": 3}, {"bytes": 1000.0}, None, "1.0")


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Numbers recorded by the command itself."""
    monkeypatch.setattr(command, "count", lambda tpu: COUNTED)
    path = tmp_path / "counts.json"
    assert run(path, monkeypatch, "--write") == 0
    return path


def run(results: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    for name in (*ENVIRONMENT, *REQUIRED):  # what the command sets ends with the test
        monkeypatch.setenv(name, "")
    monkeypatch.setattr("sys.argv", ["counts", "--results", str(results), *options])
    return command.main()


def recorded_as(results: Path, **numbers: float) -> None:
    content = json.loads(results.read_text())
    content["plain"] |= numbers
    results.write_text(json.dumps(content))


def test_what_is_recorded_passes(results: Path, monkeypatch, capsys) -> None:
    assert run(results, monkeypatch) == 0
    assert capsys.readouterr().out.endswith("Nothing is worse than recorded.\n")


def test_what_is_worse_than_recorded_fails_and_is_named(results: Path, monkeypatch, capsys) -> None:
    recorded_as(results, calls=2)
    assert run(results, monkeypatch) == 1
    said = capsys.readouterr().out
    assert "1 of 2 numbers are worse than recorded" in said
    last = said.partition("numbers are worse")[2]
    assert "calls" in last
    assert "bytes" not in last
    assert "record it with --write" in last


def test_what_is_better_than_recorded_passes_and_asks_to_be_recorded(results: Path, monkeypatch, capsys) -> None:
    recorded_as(results, calls=4)
    assert run(results, monkeypatch) == 0
    said = capsys.readouterr().out
    assert "better than recorded: record them, with --write" in said
    assert run(results, monkeypatch, "--write") == 0
    assert run(results, monkeypatch) == 0
    assert "record them" not in capsys.readouterr().out


@pytest.mark.parametrize("numbers", [{"gone": 1.0}])
def test_a_number_that_is_no_longer_counted_fails(results: Path, monkeypatch, capsys, numbers) -> None:
    recorded_as(results, **numbers)
    assert run(results, monkeypatch) == 1
    assert "not counted" in capsys.readouterr().out


def test_another_compiler_is_told_of(results: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(command, "count", lambda tpu: COUNTED._replace(compiled={"bytes": 2000.0}, jax="2.0"))
    assert run(results, monkeypatch) == 0
    assert "Recorded with jax 1.0, this is 2.0: what compilers decide is told, not judged." in capsys.readouterr().out


def test_without_a_record_nothing_is_counted(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(command, "count", lambda tpu: pytest.fail("counted"))
    assert run(tmp_path / "counts.json", monkeypatch) == 2
    assert "record what is now with --write" in capsys.readouterr().err


def test_without_the_compiler_for_tpus_nothing_is_counted(results: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(command, "count", lambda tpu: pytest.fail("counted"))
    monkeypatch.setenv("TPU_LIBRARY_PATH", str(results.parent / "absent.so"))
    assert run(results, monkeypatch, "--tpu") == 2
    assert "pip install 'jax[tpu]" in capsys.readouterr().err


def test_what_the_repository_records_names_every_part() -> None:
    names = json.loads(command.RESULTS.read_text())
    assert any(name.startswith("compilations: ") for name in names["plain"])
    assert names["plain"]["encoder passes over the windows in 50 epochs"] == 1
    assert any(name.startswith("operations computed") for name in names["compiled"])
    assert names["tpu"]
