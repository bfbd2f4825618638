"""Files that are replaced whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to, which takes its place when the block ends without an error.

    Raises:
        OSError: It cannot be put in its place.
    """
    beside = path.with_name(f".{os.getpid()}.{path.name}")  # the ending stays, by which libraries choose a format
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
