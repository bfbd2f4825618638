"""Orbax in and out: a folder with `config.json` and, in `params`, an Orbax checkpoint of the model's pure state."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chronos_jax.checkpoints.destination import PARAMS, destination
from chronos_jax.checkpoints.errors import CheckpointError
from chronos_jax.checkpoints.weights import (
    ArrayPath,
    ReadWeight,
    Weight,
    flatten,
    is_unused,
    shape_mismatches,
    unflatten,
)

if TYPE_CHECKING:  # Orbax takes a second and 180 MB to import, which safetensors need not pay
    from orbax.checkpoint import v1 as ocp

# Chunks are what a device reads to restore its shard of an array, and what is in memory beside the array while writing.
CHUNK_BYTES = 4 * 2**20
CONCURRENT_BYTES = 32 * 2**20


def is_orbax(folder: Path) -> bool:
    """Whether a folder is one that `save_orbax` wrote."""
    return (folder / PARAMS).is_dir()


def save_orbax(
    folder: Path | str, params: Mapping[str, Any], config: Mapping[str, Any], overwrite: bool = False
) -> None:
    """Writes a checkpoint. To be called by one process, which holds all of every array.

    Args:
        folder: Where; appears when it is complete.
        params: The model's pure state: nested dictionaries of arrays.
        config: The published form of the configuration.
        overwrite: Whether a checkpoint that is there already is replaced.

    Raises:
        CheckpointError: the destination is taken or cannot be written.
    """
    arrays = dict(flatten(params))
    write_orbax(folder, list(arrays), lambda path: np.asarray(arrays[path]), config, overwrite)


def write_orbax(
    folder: Path | str,
    paths: Sequence[ArrayPath],
    read: Callable[[ArrayPath], np.ndarray],
    config: Mapping[str, Any],
    overwrite: bool = False,
    companions: Mapping[str, Path] | None = None,
) -> None:
    """As `save_orbax`, for arrays that are read one after the other, so that only one is in memory at a time.

    `companions` are files to copy, by their place in the folder.
    """
    # After Ctrl-C, Orbax's threads go on writing; leaving the executor waits for them before the folder is deleted.
    with destination(Path(folder), config, overwrite, companions) as beside, ThreadPoolExecutor(1) as writer:
        for path in paths:
            writer.submit(_write, beside / PARAMS, path, read(path)).result()
        writer.submit(_finish, beside / PARAMS).result()


def load_orbax(folder: Path | str, abstract: Mapping[str, Any]) -> dict[str, Any]:
    """Restores a checkpoint to where its arrays are wanted; every process of a pod reads its own shards only.

    Args:
        folder: A folder of `save_orbax`.
        abstract: The model's pure state with a `jax.ShapeDtypeStruct` in place of every array, whose sharding says
            where the array goes. The dtype may differ from that on disk.

    Returns:
        The same nested dictionaries with arrays.

    Raises:
        CheckpointError: the checkpoint is damaged, or its arrays are others than those of `abstract`.
    """
    from orbax.checkpoint import v1 as ocp

    expected = {path: tuple(leaf.shape) for path, leaf in flatten(abstract)}
    _check(Path(folder), expected)
    try:
        with _context():
            return ocp.load(_params(folder), dict(abstract))
    except Exception as error:
        raise _damaged(folder, error) from error


def open_arrays(folder: Path, table: Sequence[Weight], dtype: np.dtype, unused: Sequence[str] = ()) -> ReadWeight:
    """A function that reads one array as NumPy array of this dtype. Checks all first, and raises CheckpointError.

    Arrays whose paths, joined with dots, fit a pattern of `unused` may be there.
    """
    stored = _check(folder, {weight.path: weight.model_shape for weight in table}, unused)
    return lambda weight: _read(folder, weight.path, stored[weight.path]).astype(dtype, copy=False)


def stored_arrays(folder: Path) -> dict[ArrayPath, Any]:
    """Path → an object with `shape` and `dtype` for every array of a checkpoint. Raises CheckpointError."""
    from orbax.checkpoint import v1 as ocp

    try:
        metadata = ocp.metadata(_params(folder)).metadata
    except Exception as error:  # Orbax and TensorStore raise what they come across
        raise _damaged(folder, error) from error
    if metadata is None:  # Orbax logged why
        raise CheckpointError(f"{folder} is damaged or no Orbax checkpoint: its arrays cannot be listed")
    return dict(flatten(metadata))


def _damaged(folder: Path | str, error: Exception) -> CheckpointError:
    return CheckpointError(f"{folder} is damaged or no Orbax checkpoint: {_brief(error)}")


def _brief(error: Exception) -> str:
    """The message without TensorStore's description of the store, a page of JSON."""
    return str(error).partition(" [tensorstore_spec=")[0]


def _write(folder: Path, path: ArrayPath, array: np.ndarray) -> None:
    from orbax.checkpoint import v1 as ocp

    try:
        with _context():
            ocp.partial.save(folder, unflatten([(path, array)]))
    except ValueError as error:  # in which TensorStore wraps what the file system says
        raise OSError(_brief(error)) from error


def _finish(folder: Path) -> None:
    from orbax.checkpoint import v1 as ocp

    with _context():
        ocp.partial.finalize(folder)


def _read(folder: Path, path: ArrayPath, stored: Any) -> np.ndarray:
    from orbax.checkpoint import v1 as ocp

    try:
        with _context():
            state = ocp.load(_params(folder), unflatten([(path, stored)]))
    except Exception as error:
        raise _damaged(folder, error) from error
    ((_, array),) = flatten(state)
    return np.asarray(array)


def _check(
    folder: Path, expected: Mapping[ArrayPath, tuple[int, ...]], unused: Sequence[str] = ()
) -> dict[ArrayPath, Any]:
    stored = stored_arrays(folder)
    found = {".".join(path): tuple(array.shape) for path, array in stored.items()}
    problems = list(
        shape_mismatches(
            {name: shape for name, shape in found.items() if not is_unused(name, unused)},
            {".".join(path): shape for path, shape in expected.items()},
        )
    )
    if problems:
        raise CheckpointError.listing(f"the arrays in {folder} do not fit their configuration", problems)
    return stored


def _params(folder: Path | str) -> Path:
    return Path(folder).absolute() / PARAMS


def _context() -> "ocp.Context":
    from orbax.checkpoint import v1 as ocp

    context = ocp.Context()
    context.memory.deepcopy_host_arrays = False  # nothing changes the arrays while they are written
    context.memory.write_concurrent_bytes = CONCURRENT_BYTES
    context.memory.read_concurrent_bytes = CONCURRENT_BYTES
    context.array.saving.use_compression = False  # it saves 7 %, and took three times the time and 400 MB
    context.array.saving.storage_options.chunk_byte_size = CHUNK_BYTES
    context.pytree.loading.partial_load = True
    return context
