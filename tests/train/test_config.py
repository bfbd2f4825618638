import json
from pathlib import Path

import pytest

from train.config import MAY_CHANGE, TrainConfig, make_config, read_config

# Keys of the smart-home project whose files run unchanged , with values like its own.
SMART_HOME_FILE = {
    "chronos_model_name": "amazon/chronos-2",
    "projection_hidden_dim": 256,
    "projection_dropout": 0.1,
    "output_dim": 512,
    "sequence_length": 50,
    "batch_size": 32,
    "learning_rate": 3e-4,
    "betas": [0.9, 0.98],
    "weight_decay": 0.01,
    "warmup_ratio": 0.1,
    "max_epochs": 30,
    "grad_clip_norm": 1.0,
    "temperature_init": 0.02,
    "learnable_temperature": True,
    "use_hard_negatives": True,
    "hard_negative_memory_size": 4096,
    "hard_negative_ratio": 0.5,
    "hard_negative_strategy": "mixed",
    "hard_negative_sampling_temperature": 0.1,
    "train_data_path": "data/train.json",
    "val_data_path": "data/val.json",
    "vocab_path": "data/vocab.json",
    "output_dir": "trained_models/milan",
    "text_model_name": "bag-of-words",
    "max_captions": 4,
    "caption_types": "long",
    "log_interval": 50,
    "val_interval": 500,
    "save_interval": 1000,
    "use_wandb": False,
    "wandb_project": "discover",
    "wandb_entity": None,
    "wandb_name": "milan",
    "use_amp": True,
    "num_workers": 4,
}


def test_a_file_of_the_smart_home_project_is_understood(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(SMART_HOME_FILE))
    config = read_config(tmp_path / "config.json")
    assert config.learning_rate == 3e-4
    assert config.caption_types == ("long",)
    assert config.hard_negative_temperature == 0.1
    assert config.wandb_run_name == "milan"
    assert config.train_data_path == Path("data/train.json")


def test_what_is_resolved_is_read_back_as_it_was() -> None:
    config = make_config(SMART_HOME_FILE)
    assert make_config(json.loads(config.model_dump_json())) == config


@pytest.mark.parametrize(
    ("unknown", "nearest"),
    [
        ("learnin_rate", "learning_rate"),
        ("hard_negatives", "use_hard_negatives"),
        ("queue_size", "hard_negative_queue_size"),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(unknown: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=f"unknown key '{unknown}': the nearest known one is '{nearest}'"):
        make_config({unknown: 1})


def test_all_problems_are_listed_at_once_with_what_was_given() -> None:
    with pytest.raises(ValueError, match="batch_size") as error:
        make_config({"batch_size": 1, "betas": [0.9], "pooling": "median", "colour": 3}, source="run.json")
    message = str(error.value)
    assert message.startswith("run.json:")
    assert all(part in message for part in ("batch_size", "got 1", "betas", "'median'", "unknown key 'colour'"))


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"text_model_name": ""}, "text_model_name: String should have at least 1 character"),
        ({"loss": "sigmoid", "loss_type": "infonce"}, "loss and loss_type are one key given twice"),
        ({"hard_negative_queue_size": 9, "hard_negative_memory_size": 9}, "are one key given twice"),
        ({"temperature_init": 0.001}, "temperature_init"),
        ({"betas": [0.9, 1.0]}, "each must be at least 0 and below 1"),
        ({"caption_types": []}, "caption_types is empty"),
        ({"caption_types": ["middling"]}, "middling"),
        ({"use_hard_negatives": True, "hard_negative_memory_size": 10}, "less than the 128 texts drawn"),
    ],
)
def test_values_that_cannot_work_are_refused(keys: dict, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make_config(keys)


def test_files_that_are_no_configuration_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no configuration file at"):
        read_config(tmp_path / "absent.json")
    for content, complaint in (("{", "is not JSON"), ("[1]", "must hold one JSON object")):
        (tmp_path / "bad.json").write_text(content)
        with pytest.raises(ValueError, match=complaint):
            read_config(tmp_path / "bad.json")


@pytest.mark.parametrize(
    ("keys", "steps"),
    [
        ({}, 20 * 7),
        ({"max_epochs": 3}, 21),
        ({"max_steps": 10}, 10),
        ({"max_epochs": 1, "max_steps": 10}, 7),
        ({"max_epochs": 3, "max_steps": 10}, 10),
    ],
)
def test_a_run_is_as_long_as_the_shorter_limit(keys: dict, steps: int) -> None:
    assert make_config(keys).total_steps(steps_per_epoch=7) == steps


def test_keys_that_alter_no_number_may_differ() -> None:
    assert set(MAY_CHANGE) <= set(TrainConfig.model_fields)
    here = make_config({"learning_rate": 1e-3, "log_interval": 5})
    there = make_config({"learning_rate": 1e-4, "log_interval": 50})
    assert here.differences(there) == ["learning_rate: 0.001 → 0.0001"]


def test_data_may_move_and_mesh_and_workers_may_change() -> None:
    here = make_config({"train_data_path": "a", "val_data_path": "b", "vocab_path": "c"})
    there = make_config(
        {"train_data_path": "x", "val_data_path": "y", "vocab_path": "z", "num_workers": 2, "mesh": {"fsdp": 2}}
    )
    assert here.differences(there) == []
    assert here.differences(make_config({"seed": 1})) == ["seed: 0 → 1"]


def test_paths_are_made_absolute_and_names_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths = {"train_data_path": "a", "val_data_path": "b", "vocab_path": "c", "features_dir": "d", "output_dir": "../e"}
    config = make_config(paths | {"text_model_name": "texts.npz"}).with_absolute_paths()
    assert [getattr(config, key) for key in paths] == [*(tmp_path / name for name in "abcd"), tmp_path.parent / "e"]
    assert config.text_model_name == str(tmp_path / "texts.npz")
    plain = make_config({}).with_absolute_paths()
    assert (plain.train_data_path, plain.features_dir, plain.text_model_name) == (None, None, "bag-of-words")
