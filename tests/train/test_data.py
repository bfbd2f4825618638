import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from train.config import TrainConfig
from train.data import captions_of, open_splits
from train.prepare import PrepareOptions, prepare
from train.smarthome.records import read_header

Configure = Callable[..., TrainConfig]


def test_a_prepared_folder_has_both_splits(tiny_config: Configure, simulated_home: Path) -> None:
    train, validation = open_splits(tiny_config())
    header = read_header(simulated_home)
    assert (len(train), len(validation)) == (header.splits["train"].count, header.splits["validation"].count)
    assert train.fingerprint != validation.fingerprint


def test_without_data_a_home_is_simulated_once(tiny_config: Configure) -> None:
    config = tiny_config(train_data_path=None, simulate_days=3)
    first = open_splits(config)[0]
    assert (config.output_dir / "data" / "header.json").is_file()
    assert open_splits(config)[0].fingerprint == first.fingerprint


def test_captions_alternate_between_the_types(tiny_config: Configure) -> None:
    train, _ = open_splits(tiny_config())
    both = captions_of(train, tiny_config(max_captions=2))
    long, short = train.captions(["long"]), train.captions(["short"])
    assert both == [[a[0], b[0]] for a, b in zip(long, short, strict=True)]
    assert captions_of(train, tiny_config(caption_types=["short"], max_captions=1)) == [texts[:1] for texts in short]


def test_a_batch_larger_than_the_data_is_refused(tiny_config: Configure) -> None:
    with pytest.raises(ValueError, match="batch_size 4096 is larger than the training split of"):
        open_splits(tiny_config(batch_size=4096))


def test_data_that_are_not_there_are_refused(tiny_config: Configure, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"):
        open_splits(tiny_config(train_data_path=tmp_path / "absent"))


def test_a_vocabulary_of_another_home_is_refused(tiny_config: Configure, tmp_path: Path) -> None:
    other = prepare(PrepareOptions(simulate=3, output=tmp_path / "other"))
    header = json.loads((other / "header.json").read_text())
    field, numbers = next(iter(header["vocabulary"].items()))
    name = list(numbers)[-1]
    header["vocabulary"][field][name] += 1
    (other / "header.json").write_text(json.dumps(header))
    with pytest.raises(ValueError, match=f"vocabulary of .* differ .*{name}"):
        open_splits(tiny_config(val_data_path=other))


@pytest.mark.parametrize(("field", "value"), [("layout", {}), ("coordinate_bounds", {"x": [0, 9], "y": [0, 9]})])
def test_a_home_laid_out_differently_is_refused(
    tiny_config: Configure, simulated_home: Path, tmp_path: Path, field: str, value: object
) -> None:
    other = shutil.copytree(simulated_home, tmp_path / "other")
    header = json.loads((other / "header.json").read_text())
    assert header[field] != value
    (other / "header.json").write_text(json.dumps(header | {field: value}))
    with pytest.raises(ValueError, match=f"{field} of .* differ"):
        open_splits(tiny_config(val_data_path=other))


def test_validation_on_the_training_windows_is_refused(tiny_config: Configure, tmp_path: Path) -> None:
    paths = windowed_json(tmp_path, [sample("cooking")] * 3, [sample("cooking")] * 3)
    with pytest.raises(ValueError, match="hold the same windows"):
        open_splits(tiny_config(**paths, batch_size=2))


def test_a_home_simulated_with_other_options_is_refused(tiny_config: Configure) -> None:
    keys = {"train_data_path": None, "simulate_days": 3}
    open_splits(tiny_config(**keys))
    with pytest.raises(ValueError, match="holds 3 days simulated with seed 0, not 3 with seed 1: give another"):
        open_splits(tiny_config(**keys, seed=1))


def sample(text: str) -> dict:
    event = {"sensor": "M001", "room": "kitchen", "x": 0.5, "y": 0.5, "delta_t_since_prev": 1.0}
    return {"sensor_sequence": [event] * 4, "captions": [text], "first_activity": "Cook"}


def windowed_json(folder: Path, train: list[dict], validation: list[dict]) -> dict[str, Path]:
    vocabulary = {"sensor": {"M001": 2}, "room": {"kitchen": 2}}
    contents = {"train_data_path": train, "val_data_path": validation, "vocab_path": vocabulary}
    for key, content in contents.items():
        (folder / f"{key}.json").write_text(json.dumps(content))
    return {key: folder / f"{key}.json" for key in contents}


def test_windowed_json_is_read_as_it_is(tiny_config: Configure, tmp_path: Path) -> None:
    paths = windowed_json(tmp_path, [sample("cooking")] * 3, [sample("cooking")])
    config = tiny_config(**paths, batch_size=2)
    train, validation = open_splits(config)
    assert (len(train), len(validation)) == (3, 1)
    assert captions_of(train, config) == [["cooking"]] * 3


def test_a_file_without_validation_data_is_refused(tiny_config: Configure, tmp_path: Path) -> None:
    paths = windowed_json(tmp_path, [sample("cooking")] * 3, []) | {"val_data_path": None}
    with pytest.raises(ValueError, match="val_data_path is missing"):
        open_splits(tiny_config(**paths))


def test_an_empty_split_is_refused(tiny_config: Configure, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"empty|no sample|no window"):
        open_splits(tiny_config(**windowed_json(tmp_path, [sample("cooking")] * 3, []), batch_size=2))


def test_windows_without_a_caption_are_refused(tiny_config: Configure, tmp_path: Path) -> None:
    paths = windowed_json(tmp_path, [sample("cooking")] * 3, [sample("cooking")])
    config = tiny_config(**paths, batch_size=2, caption_types=["long"])
    with pytest.raises(ValueError, match="3 of 3 windows have no caption"):
        captions_of(open_splits(config)[0], config)


def test_equal_captions_are_one_string(tiny_config: Configure) -> None:
    train, _ = open_splits(tiny_config())
    texts = [text for window in captions_of(train, tiny_config()) for text in window]
    assert len(texts) > len(set(texts)) == len(set(map(id, texts)))
