import importlib.util
import json
from pathlib import Path

import pytest

from train.config import TrainConfig
from train.metrics import MetricsLog, check_wandb, wandb_id

CONFIG = TrainConfig.model_validate({})


def lines(run_dir: Path) -> list[dict]:
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def test_numbers_are_one_json_object_per_line(tmp_path: Path) -> None:
    with MetricsLog(tmp_path, CONFIG, resumed_from=0) as log:
        log.write(1, "train", {"loss": 2.5, "note": "text too"})
        log.write(2, "validation", {"loss": float("nan")})
    assert lines(tmp_path) == [
        {"step": 1, "kind": "train", "loss": 2.5, "note": "text too"},
        {"step": 2, "kind": "validation", "loss": None},
    ]


def test_every_line_is_on_disk_when_it_is_written(tmp_path: Path) -> None:
    with MetricsLog(tmp_path, CONFIG, resumed_from=0) as log:
        log.write(1, "train", {"loss": 2.5})
        assert len(lines(tmp_path)) == 1


def test_a_resumed_run_drops_what_lies_beyond_its_checkpoint(tmp_path: Path) -> None:
    with MetricsLog(tmp_path, CONFIG, resumed_from=0) as log:
        for step in range(1, 6):
            log.write(step, "train", {"loss": float(step)})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "kin')  # where the run was killed
    with MetricsLog(tmp_path, CONFIG, resumed_from=3) as log:
        log.write(4, "train", {"loss": 40.0})
    assert [(line["step"], line["loss"]) for line in lines(tmp_path)] == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 40.0)]


def test_tensorboard_gets_the_numbers(tmp_path: Path) -> None:
    with MetricsLog(tmp_path, CONFIG, resumed_from=0) as log:
        log.write(1, "train", {"loss": 2.5})
    (events,) = (tmp_path / "tensorboard").iterdir()
    assert b"train/loss" in events.read_bytes()


def test_runs_in_folders_of_equal_name_have_each_their_own_name_for_good(tmp_path: Path) -> None:
    folders = [tmp_path / parent / "run" for parent in "ab"]
    for folder in folders:
        folder.mkdir(parents=True)
    names = [wandb_id(folder) for folder in folders]
    assert names[0] != names[1]
    assert [wandb_id(folder) for folder in folders] == names


@pytest.mark.skipif(importlib.util.find_spec("wandb") is not None, reason="wandb is installed")
def test_weights_and_biases_that_are_not_installed_are_refused_with_what_to_install() -> None:
    check_wandb(CONFIG)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'chronos-jax\[wandb\]'"):
        check_wandb(TrainConfig.model_validate({"use_wandb": True}))
