import json
import os
import pickle
from pathlib import Path

import pytest

from chronos_jax.checkpoints.errors import CheckpointError
from chronos_jax.checkpoints.safetensors_files import INDEX, SINGLE
from chronos_jax.checkpoints.sources import load_config, resolve


def test_a_folder_with_one_file(checkpoint: Path):
    source = resolve(checkpoint)
    assert (source.kind, source.folder, source.files) == ("safetensors", checkpoint, (checkpoint / SINGLE,))
    assert load_config(source) == {"size": 4}


def test_a_folder_with_shards(sharded: Path):
    source = resolve(str(sharded))
    assert [file.name for file in source.files] == [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    assert source.index == sharded / INDEX


def test_a_single_file_goes_before_an_index_as_in_the_reference(checkpoint: Path, sharded: Path):
    (checkpoint / INDEX).write_bytes((sharded / INDEX).read_bytes())
    assert resolve(checkpoint).files == (checkpoint / SINGLE,)


@pytest.mark.parametrize(
    "shard", ["../outside.safetensors", "/etc/outside.safetensors", "..", "", "a/b.safetensors", "..\\a.safetensors"]
)
def test_an_index_may_not_name_files_elsewhere(sharded: Path, shard: str):
    (sharded / INDEX).write_text(json.dumps({"weight_map": {"embed.weight": shard}}))
    with pytest.raises(CheckpointError, match="expected names of safetensors files that lie beside it"):
        resolve(sharded)


def test_an_index_may_not_name_pickle_files(sharded: Path):
    (sharded / INDEX).write_text(json.dumps({"weight_map": {"embed.weight": "pytorch_model.bin"}}))
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin"):
        resolve(sharded)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": 1}}', "\ud800"])
def test_a_malformed_index_is_named(sharded: Path, content: str):
    (sharded / INDEX).write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(CheckpointError, match="is not an index of safetensors shards"):
        resolve(sharded)


class Bomb:
    """Unpickling it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_pickles_are_never_read(tmp_path: Path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin.*never downloaded or read: ask .* safetensors"):
        resolve(tmp_path)
    assert not (tmp_path / "exploded").exists()


def test_a_folder_without_weights_says_what_it_has_instead(tmp_path: Path):
    (tmp_path / "other.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"holds neither model\.safetensors nor .* only other\.safetensors"):
        resolve(tmp_path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "has no config.json"), ("{", "is not valid JSON"), ("[1]", "holds a JSON list, expected an object")],
)
def test_a_configuration_that_cannot_be_read_is_named(checkpoint: Path, content: str | None, complaint: str):
    (checkpoint / "config.json").unlink()
    if content is not None:
        (checkpoint / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=complaint):
        load_config(resolve(checkpoint))


@pytest.mark.parametrize("name", ["no/such/folder", "../nowhere", "/nowhere", "white space/name", "a--b/../c"])
def test_what_is_neither_folder_nor_hub_name_is_refused_without_asking_the_hub(name: str):
    with pytest.raises(CheckpointError, match="is neither an existing folder nor a hub name"):
        resolve(name)


def test_a_file_is_refused_for_its_folder(checkpoint: Path):
    with pytest.raises(CheckpointError, match="is a file; pass the folder"):
        resolve(checkpoint / SINGLE)


def test_options_that_do_not_apply_are_refused(checkpoint: Path):
    with pytest.raises(CheckpointError, match="a revision applies to hub names only"):
        resolve(checkpoint, revision="main")
    with pytest.raises(CheckpointError, match="a base applies to LoRA adapters only"):
        resolve(checkpoint, base=checkpoint)
