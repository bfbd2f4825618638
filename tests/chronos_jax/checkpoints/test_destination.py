import os
import stat
from pathlib import Path

import pytest

from chronos_jax.checkpoints.destination import destination
from chronos_jax.checkpoints.errors import CheckpointError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_appears_complete(tmp_path: Path):
    with destination(tmp_path / "new", {"a": 1}) as beside:
        (beside / "model.safetensors").write_text("weights")
        assert not (tmp_path / "new").exists()
    assert names(tmp_path) == ["new"]
    assert names(tmp_path / "new") == ["config.json", "model.safetensors"]


def test_a_new_folder_has_ordinary_permissions(tmp_path: Path):
    (tmp_path / "ordinary").mkdir()
    with destination(tmp_path / "new", {}):
        pass
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == stat.S_IMODE((tmp_path / "ordinary").stat().st_mode)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("exists", [False, True])
def test_nothing_is_left_of_an_attempt_that_fails(tmp_path: Path, error: type[BaseException], exists: bool):
    if exists:
        (tmp_path / "new").mkdir()
        (tmp_path / "new/config.json").write_text("before")

    def attempt() -> None:
        with destination(tmp_path / "new", {}, overwrite=exists) as beside:
            (beside / "model.safetensors").write_text("half")
            raise error

    with pytest.raises(error):
        attempt()
    assert names(tmp_path) == (["new"] if exists else [])
    if exists:
        assert names(tmp_path / "new") == ["config.json"]
        assert (tmp_path / "new/config.json").read_text() == "before"


def test_an_empty_folder_may_be_filled(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with destination(tmp_path / "empty", {}):
        pass
    assert names(tmp_path / "empty") == ["config.json"]


def test_what_exists_is_replaced_only_when_asked(tmp_path: Path):
    with destination(tmp_path / "there", {"version": 1}) as beside:
        (beside / "old.safetensors").touch()
    with pytest.raises(CheckpointError, match="exists and is not empty"), destination(tmp_path / "there", {}):
        pass
    assert names(tmp_path / "there") == ["config.json", "old.safetensors"]
    with destination(tmp_path / "there", {"version": 2}, overwrite=True):
        pass
    assert names(tmp_path / "there") == ["config.json"]
    assert names(tmp_path) == ["there"]


def test_overwriting_never_deletes_what_is_no_checkpoint(tmp_path: Path):
    (tmp_path / "thesis.tex").touch()
    with (
        pytest.raises(CheckpointError, match=r"overwriting it would delete thesis\.tex"),
        destination(tmp_path, {}, overwrite=True),
    ):
        pass
    assert names(tmp_path) == ["thesis.tex"]


@pytest.mark.parametrize(
    "foreign", ["1_Pooling/notes.txt", "2_Normalize/notes.txt", "onnx/tokenizer.json", "README.md"]
)
def test_companions_may_be_overwritten_and_nothing_beside_them(tmp_path: Path, foreign: str):
    source, there = tmp_path / "source", tmp_path / "there"
    source.write_text("words")
    companions = {"vocab.txt": source, "1_Pooling/config.json": source}
    with destination(there, {}, companions=companions):
        pass
    assert (there / "vocab.txt").read_text() == (there / "1_Pooling/config.json").read_text() == "words"
    (there / "2_Normalize").mkdir()  # as sentence-transformers writes it, empty
    with destination(there, {}, overwrite=True, companions={"vocab.txt": source}):
        pass
    assert names(there) == ["config.json", "vocab.txt"]
    (there / foreign).parent.mkdir(exist_ok=True)
    (there / foreign).touch()
    with (
        pytest.raises(CheckpointError, match=f"overwriting it would delete {foreign.partition('/')[0]}"),
        destination(there, {}, overwrite=True),
    ):
        pass
    assert (there / foreign).exists()


def test_a_companion_that_is_gone_leaves_nothing(tmp_path: Path):
    with (
        pytest.raises(CheckpointError, match=r"cannot write .*No such file"),
        destination(tmp_path / "new", {}, companions={"vocab.txt": tmp_path / "gone"}),
    ):
        pass
    assert names(tmp_path) == []


def test_a_destination_that_cannot_be_is_refused(tmp_path: Path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    for folder, complaint in [
        (tmp_path / "file", "exists and is no folder"),
        (tmp_path / "link", "exists and is no folder"),
        (tmp_path / "absent/new", "its parent is no existing folder"),
        (tmp_path / "file/new", "its parent is no existing folder"),
    ]:
        with pytest.raises(CheckpointError, match=complaint), destination(folder, {}, overwrite=True):
            pass


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_parent_without_permission_is_named(tmp_path: Path):
    tmp_path.chmod(0o500)
    with pytest.raises(CheckpointError, match=r"cannot write .*: Permission denied"), destination(tmp_path / "new", {}):
        pass
