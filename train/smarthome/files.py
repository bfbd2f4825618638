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
        ValueError: not JSON, or an object has a key twice, of which the other would be lost.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no {what} {path}.")
    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_each_key_once)
    except ValueError as error:
        raise ValueError(f"The {what} {path} is not JSON: {error}.") from error


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands twice in one object")
    return content


def sha256_of(*paths: Path) -> str:
    """The sha256, in hexadecimal, of the bytes of files one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
