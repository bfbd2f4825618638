"""One hash for a model: of what is said about it, and of its parameters."""

import hashlib
import json
from typing import Any

import jax
import numpy as np


def fingerprint(said: Any, params: Any, *files: bytes) -> str:
    """SHA-256, hexadecimal, that differs where anything here does.

    Args:
        said: Configuration and settings; anything that JSON can hold.
        params: Nested dictionary of arrays.
        files: Content of files that belong to the model, such as a tokenizer.
    """
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    for content in files:
        digest.update(content)
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        array = np.asarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    return digest.hexdigest()
