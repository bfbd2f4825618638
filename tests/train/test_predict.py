"""A run of a few steps on three simulated days names the activities of new event files."""

import csv
import json
import shutil
import sys
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from small_run import small_run

from train.predict import COLUMNS, main, predict
from train.run import TrainedRun, load_run
from train.smarthome.dataset import Header, WindowSplit
from train.smarthome.raw import windows_of
from train.smarthome.records import open_split
from train.smarthome.simulator import simulate

pytestmark = pytest.mark.filterwarnings("ignore:.* not occur in the captions")


@pytest.fixture(scope="module")
def run_dir(simulated_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run(simulated_home, tmp_path_factory.mktemp("trained") / "run")


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("events") / "events.txt"
    simulate(path, 2, seed=5)
    return path


@pytest.fixture(scope="module")
def header(simulated_home: Path) -> Header:
    return open_split(simulated_home, "train").header


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_window_has_an_activity(run_dir: Path, events: Path, header: Header, tmp_path: Path) -> None:
    counts = predict(run_dir, events, tmp_path / "out.csv")
    table, windows = rows(tmp_path / "out.csv"), list(windows_of(events, header))
    assert list(table[0]) == [*COLUMNS, *header.label_to_text]
    assert len(table) == len(windows) > 32
    for row, window in zip(table, windows, strict=True):
        probabilities = {label: float(row[label]) for label in header.label_to_text}
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-4)
        assert float(row["probability"]) == max(probabilities.values()) == probabilities[row["activity"]]
        assert (row["start"], row["end"]) == (window.start, window.end)
        assert row["rooms"] == "; ".join(window.rooms)
        assert int(row["events"]) == np.isfinite(window.series[-1]).sum()
    assert {int(row["events"]) for row in table} > {header.sequence_length}
    assert counts == dict(Counter(row["activity"] for row in table).most_common())


def test_probabilities_are_those_of_the_towers(run_dir: Path, events: Path, header: Header, tmp_path: Path) -> None:
    predict(run_dir, events, tmp_path / "out.csv")
    run = load_run(run_dir)
    series = np.stack([window.series for window in windows_of(events, header)])
    logits = run.logit_scale * run.embed_series(series) @ run.embed_labels(header.label_to_text).T
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = [[float(row[label]) for label in header.label_to_text] for row in rows(tmp_path / "out.csv")]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_activities_that_were_never_labelled(run_dir: Path, events: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps({"At the stove": ["in the kitchen", "the stove sensor"], "Bed": "in the bedroom"}))
    counts = predict(run_dir, events, tmp_path / "out.csv", labels)
    assert set(counts) <= {"At the stove", "Bed"}
    assert list(rows(tmp_path / "out.csv")[0]) == [*COLUMNS, "At the stove", "Bed"]


def another_home(events: Path, folder: Path) -> Path:
    path = folder / "another.txt"
    path.write_text(events.read_text().replace("\tM", "\tXM").replace("\tD", "\tXD"))
    return path


def test_a_file_of_another_home(run_dir: Path, events: Path, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="none of the 15 sensors"):
        predict(run_dir, another_home(events, tmp_path), tmp_path / "out.csv")
    assert len(rows(tmp_path / "out.csv")) > 32


class TestRefusals:
    def test_an_output_that_is_there(
        self, run_dir: Path, events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Before anything is loaded."""
        out = tmp_path / "out.csv"
        out.write_text("mine")
        with monkeypatch.context() as patch:
            patch.delattr("train.predict.load_run")
            with pytest.raises(FileExistsError, match=r"out\.csv exists.*--overwrite"):
                predict(run_dir, events, out)
        assert out.read_text() == "mine"
        predict(run_dir, events, out, overwrite=True)
        assert len(rows(out)) > 32

    def test_an_output_that_is_no_csv(self, run_dir: Path, events: Path, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"has to end in \.csv"):
            predict(run_dir, events, tmp_path / "out.parquet")

    def test_labels_called_like_columns(self, run_dir: Path, events: Path, tmp_path: Path) -> None:
        labels = tmp_path / "labels.json"
        labels.write_text(json.dumps({"start": "in the kitchen", "Bed": "in the bedroom"}))
        with pytest.raises(ValueError, match=r"called like other columns of the output \(start\)"):
            predict(run_dir, events, tmp_path / "out.csv", labels)

    def test_a_file_that_is_out_of_order_leaves_nothing(self, run_dir: Path, events: Path, tmp_path: Path) -> None:
        lines = events.read_text().splitlines(keepends=True)
        late = tmp_path / "late.txt"
        late.write_text("".join([*lines, "2024-01-09 00:00:00 M001 ON\n", lines[0]]))
        with pytest.raises(ValueError, match="has to be in order of days"):
            predict(run_dir, late, tmp_path / "out.csv")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["late.txt"]

    def test_a_file_with_too_few_events(self, run_dir: Path, tmp_path: Path) -> None:
        few = tmp_path / "few.txt"
        few.write_text("2024-01-09 00:00:00 M001 ON\n")
        with pytest.raises(ValueError, match="not one window"):
            predict(run_dir, few, tmp_path / "out.csv")

    def test_another_encoder(
        self, run_dir: Path, events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = load_run(run_dir)
        run.encoder.identity["version"] = -1
        monkeypatch.setattr("train.predict.load_run", lambda folder: run)
        with pytest.raises(ValueError, match=r"encoder: .*'version': -1"):
            predict(run_dir, events, tmp_path / "out.csv")


def test_memory_does_not_grow_with_the_file(run_dir: Path, tmp_path: Path) -> None:
    def peak(days: int) -> int:
        raw = tmp_path / f"{days}.txt"
        with raw.open("w") as file:
            for day in range(days):
                date = np.datetime64("2024-01-01") + np.timedelta64(day, "D")
                for second in range(300):
                    file.write(f"{date} 12:{second // 60:02d}:{second % 60:02d} M001 ON\n")
        tracemalloc.start()
        predict(run_dir, raw, tmp_path / f"{days}.csv")
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(2)
    assert peak(16) < 1.3 * peak(5)


class TestCommand:
    def call(self, monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> None:
        monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "left alone")
        monkeypatch.setattr(sys, "argv", ["predict", *map(str, arguments)])
        main()

    @pytest.mark.filterwarnings("default")
    def test_a_table_of_activities(
        self,
        run_dir: Path,
        events: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        out = tmp_path / "out.csv"
        self.call(monkeypatch, "--run", run_dir, "--events", another_home(events, tmp_path), "--out", out)
        told = capsys.readouterr()
        assert f"{len(rows(out))} windows in" in told.out
        assert rows(out)[0]["activity"] in told.out
        assert [line[:34] for line in told.err.splitlines()] == ["warning: none of the 15 sensors of"]

    def test_faults_in_one_line(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events: Path) -> None:
        with pytest.raises(SystemExit, match=r"^error: .*nowhere has no config\.json"):
            self.call(monkeypatch, "--run", tmp_path / "nowhere", "--events", events, "--out", tmp_path / "out.csv")
        with pytest.raises(SystemExit, match=r"^error: There is no event file .*absent"):
            self.call(monkeypatch, "--run", tmp_path, "--events", tmp_path / "absent", "--out", tmp_path / "out.csv")


@pytest.mark.parametrize("changed", ["train", "encoder"])
def test_data_or_an_encoder_other_than_the_run_had_are_refused(
    run_dir: Path, events: Path, tmp_path: Path, changed: str
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run_dir, folder)
    record = json.loads((folder / "config.json").read_text())
    record["run"]["inputs"][changed] = "another"
    (folder / "config.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match=f"other data:\n  {changed}: 'another' → "):
        predict(folder, events, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_a_run_on_windowed_json_cannot_cut_events(
    run_dir: Path, events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, header: Header
) -> None:
    split = WindowSplit(header.model_copy(update={"options": {}}), "of a file", [], lambda window: window)
    monkeypatch.setattr("train.predict.open_splits", lambda config: (split, split))
    with pytest.raises(ValueError, match="do not say how their windows were cut"):
        predict(run_dir, events, tmp_path / "out.csv")


def test_the_encoder_sees_full_batches(
    run_dir: Path, events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    embed = TrainedRun.embed_series
    monkeypatch.setattr(
        TrainedRun, "embed_series", lambda self, series: sizes.append(len(series)) or embed(self, series)
    )
    predict(run_dir, events, tmp_path / "out.csv")
    assert set(sizes[:-1]) == {32}
