"""Reading JSON with errors that name the file, and hashing files."""

import hashlib
import json
from pathlib import Path
from typing import Any


def read_json(path: Path, what: str) -> Any:
    """The content of a JSON file.

    Args:
        path: the file.
        what: what it is, for the error message.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not JSON.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no {what} {path}.")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"The {what} {path} is not JSON: {error}.") from error


def sha256_of(*paths: Path) -> str:
    """The sha256, in hexadecimal, of the bytes of files one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
