"""From a checkpoint's files to the arrays of a model, strictly: nothing missing, unknown or of another shape."""

import math
import mmap
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import ml_dtypes
import numpy as np

from chronos_jax.checkpoints import orbax
from chronos_jax.checkpoints.errors import CheckpointError
from chronos_jax.checkpoints.lora import ADAPTER_CONFIG, LoraAdapter
from chronos_jax.checkpoints.safetensors_files import DTYPES, SafetensorsFiles
from chronos_jax.checkpoints.sources import Source, read_json
from chronos_jax.checkpoints.weights import ReadWeight, Weight, nest, tensors_of

Dtype = Literal["float32", "bfloat16"]
NUMPY_DTYPES = {"float32": np.dtype(np.float32), "bfloat16": np.dtype(ml_dtypes.bfloat16)}

CACHE_LINE = 64
"""Bytes that a processor reads and writes at once."""


class Stored(NamedTuple):
    """A tensor on disk; `dtype` as NumPy spells it."""

    dtype: str
    shape: tuple[int, ...]


def stored(source: Source) -> dict[str, Stored]:
    """What is on disk, by name: published tensors, or the model's arrays for Orbax. For an adapter, that of its base.

    Raises:
        CheckpointError: the files are damaged.
    """
    if source.kind == "orbax":
        arrays = orbax.stored_arrays(source.folder)
        return {".".join(path): Stored(str(array.dtype), tuple(array.shape)) for path, array in arrays.items()}
    holder = source.base or source
    files = SafetensorsFiles(holder.files, holder.index)
    if files.problems:
        raise CheckpointError.listing(f"cannot read the weights in {holder.folder}", files.problems)
    return {
        name: Stored(DTYPES.get(tensor.dtype, tensor.dtype), tensor.shape) for name, tensor in files.tensors.items()
    }


def load_params(
    source: Source, table: Sequence[Weight], dtype: Dtype = "float32", unused: Sequence[str] = ()
) -> dict[str, Any]:
    """All parameters of a model.

    Args:
        source: Where to read.
        table: The weight table of the model, which follows from its configuration.
        dtype: The dtype of the result; float32 and float16 round to the nearest bfloat16, ties to even.
        unused: Patterns, as `fnmatch` has them, of stored tensors that the model does without: published names, or the
            paths of arrays joined with dots for Orbax. They need not be there, and may be anything.

    Returns:
        The model's pure state: nested dictionaries of NumPy arrays, of the shapes that the table gives.

    Raises:
        CheckpointError: the files are damaged or do not fit the table; one error lists everything.
    """
    read = open_params(source, table, dtype, unused)
    return nest((weight, read(weight)) for weight in table)


def open_params(
    source: Source, table: Sequence[Weight], dtype: Dtype = "float32", unused: Sequence[str] = ()
) -> ReadWeight:
    """As `load_params`, but returns a function that reads the array of one weight: all need not fit into memory.

    Everything is checked before this returns, except what only reading all bytes can show.
    """
    if source.kind == "orbax":
        return orbax.open_arrays(source.folder, table, NUMPY_DTYPES[dtype], unused)
    holder = source.base or source
    files = SafetensorsFiles(holder.files, holder.index)
    problems = [*files.problems, *files.mismatches(table, unused)]
    adapter = None
    if source.kind == "lora":
        adapter = LoraAdapter(source.folder, read_json(source.folder / ADAPTER_CONFIG))
        problems += adapter.mismatches(files)
    if problems:
        raise CheckpointError.listing(f"the weights in {source.folder} do not fit their configuration", problems)

    def read(weight: Weight) -> np.ndarray:
        array = _pages(weight.model_shape, NUMPY_DTYPES[dtype])
        for name, place in tensors_of(weight, array):
            tensor = files.read(name)
            _copy(tensor if adapter is None else adapter.merge(name, tensor), place)
        array.flags.writeable = False  # a CPU device takes it over: what is changed later would change the model
        return array

    return read


def _pages(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array of zeros that starts with a page: JAX's CPU devices take it over as it is, others would be copied.

    NumPy's own large arrays start with a page only by chance, and may come in huge pages, which a machine whose memory
    is in pieces takes up to a second to find.
    """
    memory = mmap.mmap(-1, max(math.prod(shape) * dtype.itemsize, 1), access=mmap.ACCESS_COPY)
    return np.frombuffer(memory, dtype, math.prod(shape)).reshape(shape)


def _copy(tensor: np.ndarray, place: np.ndarray) -> None:
    """Copies a tensor to where it belongs, some rows at a time: transposed at once, it takes three times as long.

    So many rows that each line of the transposed array gets a whole cache line of them, but for the few beyond.
    """
    if tensor.ndim < 2:
        place[...] = tensor
        return
    rows = CACHE_LINE // place.itemsize
    for start in range(0, len(tensor), rows):
        place[start : start + rows] = tensor[start : start + rows]
