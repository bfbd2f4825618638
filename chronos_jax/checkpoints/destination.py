"""A folder that appears complete or not at all."""

import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chronos_jax.checkpoints.companions import is_companion
from chronos_jax.checkpoints.errors import CheckpointError

CONFIG = "config.json"
PARAMS = "params"  # the folder of an Orbax checkpoint beside its configuration


def check_destination(folder: Path, overwrite: bool = False) -> Path:
    """The absolute path of a folder in which a checkpoint may be written; asked before any work is done.

    Raises:
        CheckpointError: the folder is not empty and `overwrite` is False, or it holds more than a checkpoint, which
            overwriting would delete; or its parent is no folder.
    """
    folder = Path(os.path.abspath(folder))
    if not folder.parent.is_dir():
        raise CheckpointError(f"cannot write {folder}: its parent is no existing folder; make it first")
    if not os.path.lexists(folder):
        return folder
    if folder.is_symlink() or not folder.is_dir():
        raise CheckpointError(f"cannot write {folder}: it exists and is no folder; choose another destination")
    names = sorted(path.name for path in folder.iterdir())
    if names and not overwrite:
        raise CheckpointError(
            f"{folder} exists and is not empty; choose another destination, or pass --overwrite (overwrite=True)"
        )
    if foreign := [name for name in names if not _belongs(folder, name)]:
        raise CheckpointError(
            f"{folder} is not only a checkpoint, and overwriting it would delete {', '.join(foreign)}; "
            "choose another destination"
        )
    return folder


def _belongs(folder: Path, name: str) -> bool:
    """Whether an entry of a folder is part of a checkpoint, all that is in it included."""
    if name in (CONFIG, PARAMS) or ".safetensors" in name:
        return True
    entry = folder / name
    files = [entry] if entry.is_symlink() or not entry.is_dir() else (p for p in entry.rglob("*") if not p.is_dir())
    return all(is_companion(path.relative_to(folder).as_posix()) for path in files)


@contextmanager
def destination(
    folder: Path, config: Mapping[str, Any], overwrite: bool = False, companions: Mapping[str, Path] | None = None
) -> Iterator[Path]:
    """A folder beside `folder`, with config.json in it, that takes its name when the block ends without an error.

    Args:
        folder: The folder to make.
        config: What config.json is to say.
        overwrite: Whether a checkpoint that is there already is replaced.
        companions: Further files to copy, by their place in the folder.

    Raises:
        CheckpointError: as `check_destination`, or the file system refuses (no space, no permission).
    """
    folder = check_destination(folder, overwrite)
    unique = uuid.uuid4().hex[:8]
    beside, old = (folder.with_name(f".{folder.name}.{unique}.{role}") for role in ("partial", "old"))
    try:
        beside.mkdir()
        (beside / CONFIG).write_text(json.dumps(dict(config), indent=2, sort_keys=True) + "\n", encoding="utf-8")
        for place, file in (companions or {}).items():
            (beside / place).parent.mkdir(exist_ok=True)
            shutil.copyfile(file, beside / place)
        yield beside
        if folder.exists():
            folder.rename(old)
        beside.rename(folder)
    except OSError as error:
        raise CheckpointError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
