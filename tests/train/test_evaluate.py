"""A run of a few steps on three simulated days, evaluated once with its baseline; tests look at what came of it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from train.config import TrainConfig
from train.evaluate import evaluate, main
from train.evaluation import report as measuring
from train.evaluation.again import finished_seeds
from train.evaluation.page import Page, write_page
from train.evaluation.ways import WAYS
from train.loop import train
from train.smarthome.dataset import WindowSplit
from train.smarthome.records import open_split


def a_run(home: Path, folder: Path, **keys: object) -> Path:
    """Trains a tiny run into this folder."""
    config = {
        "train_data_path": home,
        "output_dir": folder,
        "chronos_model_name": "random:tiny",
        "batch_size": 16,
        "max_steps": 100,
        "val_interval": 50,
        "learning_rate": 0.01,
        "projection_hidden_dim": 16,
        "output_dim": 8,
    }
    train(TrainConfig.model_validate(config | keys))
    return folder


@pytest.fixture
def only_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pictures, which take longer than anything else here."""
    monkeypatch.setattr("train.evaluation.pictures.draw", lambda *arguments: None)


@dataclass
class Evaluated:
    folder: Path
    report: dict[str, Any]
    printed: str = ""
    pages: list[Page] = field(default_factory=list)


@pytest.fixture(scope="module")
def evaluated(simulated_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    folder = a_run(simulated_home, tmp_path_factory.mktemp("run") / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "120")
        pages: list[Page] = []
        patch.setattr(
            "train.evaluation.pictures.write_page", lambda path, page: (pages.append(page), write_page(path, page))
        )
        printed = tmp_path_factory.mktemp("printed") / "table"
        with printed.open("w") as file:
            patch.setattr(sys, "stdout", file)
            report = evaluate(folder)
    return Evaluated(folder, report, printed.read_text(), pages)


def test_the_report_is_what_is_on_disk(evaluated: Evaluated) -> None:
    assert json.loads((evaluated.folder / "evaluation.json").read_text()) == evaluated.report


def numbers(part: Any) -> list[dict[str, Any]]:
    """All numbers in a report."""
    if not isinstance(part, dict):
        return []
    return [part] if "value" in part else [number for value in part.values() for number in numbers(value)]


def test_every_number_is_a_share_within_its_interval_beside_chance(evaluated: Evaluated) -> None:
    assert evaluated.report["intervals"] == {"level": 0.95, "method": "percentile bootstrap", "resamples": 1000}
    found = numbers(evaluated.report)
    assert len(found) > 2 * (4 * 5 + 5 * 4 + 3)
    for number in found:
        low, high = number["interval"]
        assert low - 1e-12 <= number["value"] <= high + 1e-12
        assert 0 <= number["chance"] <= 1


def test_retrieval_is_measured_both_ways_beside_chance(evaluated: Evaluated) -> None:
    exact, multi = (evaluated.report["retrieval"][form] for form in ("exact", "multi_positive"))
    windows = evaluated.report["run"]["validation_windows"]
    assert {way[side] for way in exact.values() for side in ("queries", "candidates")} == {windows}
    assert multi["window_to_caption"]["queries"] == windows == multi["caption_to_window"]["candidates"]
    assert multi["window_to_caption"]["candidates"] == multi["caption_to_window"]["queries"] > windows
    for way in (*exact.values(), *multi.values()):
        for key in ("value", "chance"):
            recall = [way[f"recall_at_{k}"][key] for k in (1, 5, 10, 50)]
            assert recall == sorted(recall)
            assert recall[0] < way["mean_reciprocal_rank"][key] < 1
    assert exact["window_to_caption"]["recall_at_5"]["chance"] == pytest.approx(5 / windows)


def test_the_trained_towers_beat_chance(evaluated: Evaluated) -> None:
    for report in (evaluated.report, evaluated.report["baseline_statistics"]):
        for way in (way for form in ("exact", "multi_positive") for way in report["retrieval"][form].values()):
            assert way["recall_at_10"]["value"] > 1.5 * way["recall_at_10"]["chance"]
            assert way["mean_reciprocal_rank"]["interval"][0] > way["mean_reciprocal_rank"]["chance"]
        for probe in ("linear_probe_of_encoder", "neighbours_probe_of_encoder"):
            accuracy = report["recognition"][probe]["accuracy"]
            assert accuracy["value"] > accuracy["majority"]
        agreement = report["clustering"]["adjusted_rand"]
        assert agreement["interval"][0] > agreement["chance"] == 0


def test_recognition_is_measured_beside_guessing(evaluated: Evaluated) -> None:
    recognition = evaluated.report["recognition"]
    assert 0 < recognition["windows"] <= evaluated.report["run"]["validation_windows"]
    for way in WAYS:
        assert recognition[way]["accuracy"]["chance"] == pytest.approx(1 / recognition["labels"])
        windows = [own["windows"] for own in recognition[way]["per_class"].values()]
        assert sum(windows) == recognition["windows"] == evaluated.report["clustering"]["windows"]
        recalled = [own["windows"] * own["recall"]["value"] for own in recognition[way]["per_class"].values()]
        assert sum(recalled) / sum(windows) == pytest.approx(recognition[way]["accuracy"]["value"])


def test_the_baseline_differs_in_its_encoder_alone(evaluated: Evaluated) -> None:
    baseline = evaluated.report["baseline_statistics"]
    assert baseline["run"] == evaluated.report["run"] | {
        "encoder": "statistics",
        "weights": None,
        "step": baseline["run"]["step"],
    }
    ours, theirs = (
        json.loads((folder / "config.json").read_text())
        for folder in (evaluated.folder, evaluated.folder / "baseline_statistics")
    )
    assert {key for key in ours if ours[key] != theirs[key]} == {"encoder", "output_dir", "features_dir", "run"}
    for guess in ("chance", "majority"):
        assert (
            baseline["recognition"]["zero_shot"]["macro_f1"][guess]
            == evaluated.report["recognition"]["zero_shot"]["macro_f1"][guess]
        )


def test_pictures_and_nothing_half_written_are_left(evaluated: Evaluated) -> None:
    names = {path.name for path in evaluated.folder.iterdir()}
    assert {"confusion.png", "embeddings.png", "evaluation.json", "report.html"} <= names
    assert names == {name for name in names if not name.startswith(".")} | {".lock"}


def test_the_page_shows_every_validation_window(evaluated: Evaluated) -> None:
    (page,) = evaluated.pages
    windows = evaluated.report["run"]["validation_windows"]
    assert page.report == evaluated.report
    assert page.config == json.loads((evaluated.folder / "config.json").read_text())
    assert {"train", "validation"} <= {line["kind"] for line in page.metrics}
    columns = (page.labels, page.starts, page.ends, page.rooms, page.captions, page.windows_NxD)
    assert {len(column) for column in columns} == {windows}
    assert list(page.predictions) == list(WAYS.values())
    assert {len(predicted) for predicted in page.predictions.values()} == {windows}
    right = [own == label for own, label in zip(page.predictions["zero-shot"], page.labels, strict=True) if label]
    assert np.mean(right) == pytest.approx(evaluated.report["recognition"]["zero_shot"]["accuracy"]["value"])
    for captions, row in zip(page.captions, page.matches_NxC, strict=True):
        assert {page.texts[column] for column in row.nonzero()[0]} == set(captions)


@pytest.mark.usefixtures("only_numbers")
def test_without_labels_retrieval_is_measured(
    evaluated: Evaluated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(evaluated.folder, tmp_path / "run")

    def unlabelled(split: WindowSplit) -> WindowSplit:
        return WindowSplit(
            split.header, split.fingerprint, range(len(split)), lambda row: replace(split[row], label="")
        )

    open_splits = measuring.open_splits
    monkeypatch.setattr(measuring, "open_splits", lambda config: tuple(map(unlabelled, open_splits(config))))
    report = evaluate(tmp_path / "run", baseline=False)
    assert report["retrieval"] == evaluated.report["retrieval"]
    for part in ("recognition", "clustering"):
        assert report[part] == {"not_measured": "a split has no window with a label"}


def test_the_table_has_the_main_measures(evaluated: Evaluated) -> None:
    assert "random:tiny" in evaluated.printed
    low, high = (100 * bound for bound in evaluated.report["recognition"]["zero_shot"]["accuracy"]["interval"])
    line = evaluated.printed[evaluated.printed.index("zero-shot") :].splitlines()[1]
    assert "accuracy" in line
    assert f"[{low:.1f},\u00a0{high:.1f}]" in line


@pytest.mark.usefixtures("only_numbers")
def test_again_gives_the_same_numbers_and_trains_nothing(evaluated: Evaluated) -> None:
    log = evaluated.folder / "baseline_statistics" / "metrics.jsonl"
    trained = log.read_text().count('"kind": "train"')
    assert evaluate(evaluated.folder) == evaluated.report
    assert log.read_text().count('"kind": "train"') == trained > 0


@pytest.fixture(scope="module")
def seeded(simulated_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    """A run that simulates its home, barely trained, with two seeds, measured in a folder that is gone meanwhile."""
    room = tmp_path_factory.mktemp("seeded")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(room)
        folder = a_run(simulated_home, Path("run"), train_data_path=None, simulate_days=3, max_steps=2, seed=7)
        patch.setattr("train.evaluation.pictures.draw", lambda *arguments: None)
        report = evaluate(folder, seeds=2)
        shutil.move("run", "moved")
    return Evaluated(room / "moved", report)


def test_means_and_intervals_over_seeds(seeded: Evaluated) -> None:
    seeds = seeded.report["seeds"]
    assert seeds["seeds"] == [7, 8]
    own, over_seeds = (
        part["retrieval"]["exact"]["window_to_caption"]["mean_reciprocal_rank"] for part in (seeded.report, seeds)
    )
    assert over_seeds["values"][0] == own["value"] != over_seeds["values"][1]
    assert over_seeds["value"] == pytest.approx(np.mean(over_seeds["values"]))
    assert over_seeds["half_width"] > 0
    assert {tuple(number) for number in numbers(seeds["baseline_statistics"])} == {
        ("value", "half_width", "values", "chance"),
        ("value", "half_width", "values", "chance", "majority"),
    }
    # The encoder is frozen: what a probe reads from it depends on no seed.
    assert seeds["recognition"]["linear_probe_of_encoder"]["accuracy"]["half_width"] == 0


def test_seeds_share_data_and_features(seeded: Evaluated) -> None:
    kept = {path.name for path in (seeded.folder / "seeds" / "8").iterdir()}
    assert kept >= {"checkpoints", "config.json", "baseline_statistics"}
    assert not kept & {"data", "features", "seeds"}
    ours, theirs = (
        json.loads((folder / "config.json").read_text()) for folder in (seeded.folder, seeded.folder / "seeds/8")
    )
    changed = {key for key in ours if ours[key] != theirs[key]}
    assert changed == {"seed", "output_dir", "features_dir", "train_data_path"}


@pytest.mark.usefixtures("only_numbers")
def test_a_run_that_was_moved_with_its_simulated_home_is_measured_as_before(
    seeded: Evaluated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    logs = sorted(seeded.folder.rglob("metrics.jsonl"))
    assert {str(log.parent.relative_to(seeded.folder)) for log in logs} == {
        ".",
        "baseline_statistics",
        "seeds/8",
        "seeds/8/baseline_statistics",
    }
    trained = [log.read_text().count('"kind": "train"') for log in logs]
    assert evaluate(seeded.folder, seeds=2) == seeded.report
    assert evaluate(seeded.folder) == seeded.report  # what is finished is taken up
    assert [log.read_text().count('"kind": "train"') for log in logs] == trained
    assert min(trained) > 0
    assert not (seeded.folder.parent / "run").exists()


def test_of_seeds_those_that_are_finished_without_a_gap_are_taken_up(
    tmp_path: Path, tiny_config: Callable[..., TrainConfig]
) -> None:
    config = tiny_config(output_dir=tmp_path, seed=3, batch_size=16, max_steps=30)
    for seed, step in ((4, 30), (5, 30), (6, 20), (7, 30)):
        (tmp_path / "seeds" / str(seed) / "checkpoints" / str(step)).mkdir(parents=True)
    assert finished_seeds(config, train_windows=100) == 3
    assert finished_seeds(config.model_copy(update={"seed": 6}), train_windows=100) == 2
    assert finished_seeds(config.model_copy(update={"max_steps": 20, "seed": 5}), train_windows=100) == 2
    assert finished_seeds(config.model_copy(update={"output_dir": tmp_path / "other"}), train_windows=100) == 1


def test_at_least_one_seed_is_needed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="seeds is 0: at least 1"):
        evaluate(tmp_path, seeds=0)


@pytest.mark.usefixtures("only_numbers")
def test_without_descriptions_in_a_file_of_embeddings_the_rest_is_measured(
    simulated_home: Path, tmp_path: Path, captions_of_home: list[str]
) -> None:
    """The run is one on statistics, too, which has no baseline."""
    path = tmp_path / "texts.npz"
    embeddings = np.random.default_rng(0).standard_normal((len(captions_of_home), 4))
    np.savez(path, embeddings=embeddings, texts=np.array(captions_of_home))
    folder = a_run(simulated_home, tmp_path / "run", max_steps=2, encoder="statistics", text_model_name=str(path))
    report = evaluate(folder)
    assert "has no embedding for" in report["recognition"]["zero_shot"]["not_measured"]
    assert report["recognition"]["linear_probe_of_embedding"]["accuracy"]["value"] > 0
    assert report["baseline_statistics"] is None
    assert not (folder / "baseline_statistics").exists()


@pytest.fixture
def captions_of_home(simulated_home: Path) -> list[str]:
    splits = [open_split(simulated_home, name) for name in ("train", "validation")]
    return sorted({text for split in splits for texts in split.captions() for text in texts})


def test_data_that_changed_since_training_are_refused(evaluated: Evaluated, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(evaluated.folder, folder)
    config = json.loads((folder / "config.json").read_text())
    config["run"]["inputs"]["validation"] = "0" * 64
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="other data:\n  validation: '000"):
        evaluate(folder)


@pytest.mark.parametrize(("name", "problem"), [("nowhere", "has no config.json"), ("begun", "has no checkpoints")])
def test_the_command_says_in_one_line_what_is_wrong(
    tmp_path: Path, tiny_config: Callable[..., TrainConfig], monkeypatch: pytest.MonkeyPatch, name: str, problem: str
) -> None:
    (tmp_path / "begun").mkdir()
    record = tiny_config().model_dump(mode="json") | {"run": {"inputs": {}, "versions": {}}}
    (tmp_path / "begun" / "config.json").write_text(json.dumps(record))
    (tmp_path / "begun" / "text_vocabulary.json").write_text('{"words": [], "max_words": 1}')
    monkeypatch.setattr(sys, "argv", ["evaluate", "--run", str(tmp_path / name)])
    with pytest.raises(SystemExit, match=f"^error: .*{name} {problem}"):
        main()


@pytest.mark.usefixtures("only_numbers")
def test_the_command_says_at_its_end_where_everything_is(
    evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate", "--run", str(evaluated.folder)])
    main()
    *_, to_read, to_look_at, pictures = capsys.readouterr().out.splitlines()
    assert to_read.split() == ["evaluation,", "to", "read", str(evaluated.folder / "evaluation.json")]
    assert to_look_at.endswith(f" {evaluated.folder / 'report.html'}")
    assert pictures.endswith("*.png")


def test_nothing_heavy_is_imported_before_the_arguments_are_read() -> None:
    code = "import sys, train.evaluate\n"
    code += (
        "assert not {'sklearn', 'scipy', 'matplotlib', 'plotly', 'pandas', 'orbax', 'train.loop'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
