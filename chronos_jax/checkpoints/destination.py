"""A folder that appears complete or not at all."""

import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
    if foreign := [name for name in names if name not in (CONFIG, PARAMS) and ".safetensors" not in name]:
        raise CheckpointError(
            f"{folder} is not only a checkpoint, and overwriting it would delete {', '.join(foreign)}; "
            "choose another destination"
        )
    return folder


@contextmanager
def destination(folder: Path, config: Mapping[str, Any], overwrite: bool = False) -> Iterator[Path]:
    """A folder beside `folder`, with config.json in it, that takes its name when the block ends without an error.

    Raises:
        CheckpointError: as `check_destination`, or the file system refuses (no space, no permission).
    """
    folder = check_destination(folder, overwrite)
    unique = uuid.uuid4().hex[:8]
    beside, old = (folder.with_name(f".{folder.name}.{unique}.{role}") for role in ("partial", "old"))
    try:
        beside.mkdir()
        (beside / CONFIG).write_text(json.dumps(dict(config), indent=2, sort_keys=True) + "\n", encoding="utf-8")
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
