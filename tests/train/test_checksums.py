from pathlib import Path

import pytest

from train.checksums import SEAL, damage, seal


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    (tmp_path / "part" / "deep").mkdir(parents=True)
    (tmp_path / "part" / "deep" / "array").write_bytes(b"12345")
    (tmp_path / "state").write_text("written again by Orbax")
    seal(tmp_path)
    return tmp_path


def test_what_is_as_it_was_is_whole(sealed: Path) -> None:
    (sealed / "state").write_text("other")
    assert damage(sealed) is None


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"12345"[:-1], "has changed"), (b"12346", "has changed"), (None, "is missing")],
)
def test_a_file_that_is_not_as_it_was_is_named(sealed: Path, content: bytes | None, complaint: str) -> None:
    path = sealed / "part" / "deep" / "array"
    path.unlink() if content is None else path.write_bytes(content)
    assert damage(sealed) == f"part/deep/array {complaint}"


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_broken_seal_is_damage(sealed: Path, content: str | None) -> None:
    (sealed / SEAL).unlink() if content is None else (sealed / SEAL).write_text(content)
    assert "checksums.json cannot be read" in str(damage(sealed))
