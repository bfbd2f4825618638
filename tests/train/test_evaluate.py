"""A run of a few steps on three simulated days, evaluated once with its baseline; tests look at what came of it."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from train.config import TrainConfig
from train.evaluate import evaluate, main
from train.loop import train
from train.smarthome.records import open_split

WAYS = ("zero_shot", "probe_of_embedding", "probe_of_encoder")


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


@dataclass
class Evaluated:
    folder: Path
    report: dict[str, Any]
    printed: str


@pytest.fixture(scope="module")
def evaluated(simulated_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    folder = a_run(simulated_home, tmp_path_factory.mktemp("run") / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "120")
        printed = tmp_path_factory.mktemp("printed") / "table"
        with printed.open("w") as file:
            patch.setattr(sys, "stdout", file)
            report = evaluate(folder)
    return Evaluated(folder, report, printed.read_text())


def test_the_report_is_what_is_on_disk(evaluated: Evaluated) -> None:
    assert json.loads((evaluated.folder / "evaluation.json").read_text()) == evaluated.report


def test_retrieval_is_measured_both_ways_beside_chance(evaluated: Evaluated) -> None:
    retrieval = evaluated.report["retrieval"]
    windows = evaluated.report["run"]["validation_windows"]
    assert retrieval["window_to_caption"]["queries"] == windows == retrieval["caption_to_window"]["candidates"]
    assert retrieval["window_to_caption"]["candidates"] == retrieval["caption_to_window"]["queries"] > windows
    for way in retrieval.values():
        assert list(way["recall"]) == list(way["chance"]) == ["1", "5", "10"]
        assert 0 < way["chance"]["1"] < way["chance"]["5"] < way["chance"]["10"] < 1
        assert way["recall"]["1"] <= way["recall"]["5"] <= way["recall"]["10"] <= 1


def test_the_trained_towers_beat_chance(evaluated: Evaluated) -> None:
    for report in (evaluated.report, evaluated.report["baseline_statistics"]):
        for way in report["retrieval"].values():
            assert way["recall"]["10"] > 1.5 * way["chance"]["10"]
        assert report["recognition"]["probe_of_encoder"]["accuracy"] > report["recognition"]["majority"]["accuracy"]


def test_recognition_is_measured_beside_guessing(evaluated: Evaluated) -> None:
    recognition = evaluated.report["recognition"]
    assert 0 < recognition["windows"] <= evaluated.report["run"]["validation_windows"]
    assert recognition["chance"]["accuracy"] == 1 / recognition["labels"]
    for way in (*WAYS, "chance", "majority"):
        assert all(0 <= recognition[way][key] <= 1 for key in ("accuracy", "macro_f1"))


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
    assert {key for key in ours if ours[key] != theirs[key]} == {"encoder", "output_dir", "run"}
    for guess in ("chance", "majority"):
        assert baseline["recognition"][guess] == evaluated.report["recognition"][guess]


def test_pictures_and_nothing_half_written_are_left(evaluated: Evaluated) -> None:
    names = {path.name for path in evaluated.folder.iterdir()}
    assert {"confusion.png", "embeddings.png", "evaluation.json"} <= names
    assert not [name for name in names if "writing" in name]


def test_the_table_has_every_measure(evaluated: Evaluated) -> None:
    assert "random:tiny" in evaluated.printed
    lines = [line for line in evaluated.printed.splitlines() if "%" in line]
    assert len(lines) == 2 * 3 + 3 * 2
    accuracy = evaluated.report["recognition"]["zero_shot"]["accuracy"]
    assert f"{accuracy:.1%}" in next(line for line in lines if "zero-shot, accuracy" in line)


def test_again_gives_the_same_numbers_and_trains_nothing(evaluated: Evaluated) -> None:
    log = evaluated.folder / "baseline_statistics" / "metrics.jsonl"
    trained = log.read_text().count('"kind": "train"')
    assert evaluate(evaluated.folder) == evaluated.report
    assert log.read_text().count('"kind": "train"') == trained > 0


def test_a_run_that_was_moved_with_its_simulated_home_is_measured_as_before(
    simulated_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = a_run(simulated_home, Path("run"), train_data_path=None, simulate_days=3, max_steps=2)
    report = evaluate(folder)
    shutil.move("run", "moved")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    log = tmp_path / "moved" / "baseline_statistics" / "metrics.jsonl"
    trained = log.read_text().count('"kind": "train"')
    assert evaluate(Path("../moved")) == report
    assert log.read_text().count('"kind": "train"') == trained > 0
    assert not (tmp_path / "run").exists()


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
    assert report["recognition"]["probe_of_embedding"]["accuracy"] > 0
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
