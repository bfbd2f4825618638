from pathlib import Path

import pytest

from train.checksums import METADATA, SEAL, damage, seal


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    (tmp_path / "part" / "deep").mkdir(parents=True)
    (tmp_path / "part" / "deep" / "array").write_bytes(b"12345")
    (tmp_path / METADATA).write_text('{"commit_timestamp_nsecs": null}')
    seal(tmp_path)
    return tmp_path


def test_what_is_as_it_was_is_whole(sealed: Path) -> None:
    (sealed / METADATA).write_text('{"commit_timestamp_nsecs": 1}')
    assert damage(sealed) is None


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"12345"[:-1], "has changed"), (b"12346", "has changed"), (None, "is missing")],
)
def test_a_file_that_is_not_as_it_was_is_named(sealed: Path, content: bytes | None, complaint: str) -> None:
    path = sealed / "part" / "deep" / "array"
    path.unlink() if content is None else path.write_bytes(content)
    assert damage(sealed) == f"part/deep/array {complaint}"


@pytest.mark.parametrize("content", [None, "{", "[1]"])
def test_a_broken_seal_is_damage(sealed: Path, content: str | None) -> None:
    (sealed / SEAL).unlink() if content is None else (sealed / SEAL).write_text(content)
    assert "checksums.json cannot be read" in str(damage(sealed))


def test_a_seal_of_nothing_is_damage(sealed: Path) -> None:
    (sealed / SEAL).write_text("{}")
    assert damage(sealed) == "checksums.json is empty"


@pytest.mark.parametrize("content", [None, "", "{", "[1]"])
def test_metadata_that_cannot_be_read_are_damage(sealed: Path, content: str | None) -> None:
    (sealed / METADATA).unlink() if content is None else (sealed / METADATA).write_text(content)
    assert "_CHECKPOINT_METADATA cannot be read" in str(damage(sealed))
