"""Files of stored features appear whole or not at all, and say plainly when they cannot."""

import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

WRITING = ".writing-"  # stands after its name in the name of a file that is not complete
ABANDONED_AFTER_S = 3600  # no file takes so long to write


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a file that appears complete.

    Raises:
        OSError: It cannot be written.
    """
    with appearing(path) as file:
        file.write(json.dumps(content).encode())


@contextmanager
def appearing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes its name when the block ends without an error, and is on disk then.

    Raises:
        OSError: It cannot be written.
    """
    beside = path.with_name(f"{path.name}{WRITING}{uuid.uuid4().hex}")
    try:
        with plain_refusal(path.parent):
            with beside.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            beside.rename(path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def plain_refusal(folder: Path) -> Iterator[None]:
    """Where the file system refuses to write (no space, no permission), the error says what to do.

    Raises:
        OSError: It refuses.
    """
    try:
        yield
    except OSError as error:
        raise OSError(
            error.errno,
            f"features cannot be written ({error.strerror}): make room there, or choose another features_dir. What was "
            "stored before is kept",
            str(folder),
        ) from error


def sweep(folder: Path) -> None:
    """Removes what killed processes left half-written, but nothing that one may still be writing."""
    for left in folder.glob(f"*{WRITING}*"):
        with suppress(OSError):  # it has just got its name, another process has swept it, or it is not ours to remove
            if time.time() - left.stat().st_mtime > ABANDONED_AFTER_S:
                left.unlink()
