"""Safetensors out, in the published layout."""

import json
import math
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chronos_jax.checkpoints.destination import destination
from chronos_jax.checkpoints.errors import CheckpointError
from chronos_jax.checkpoints.safetensors_files import DTYPES, SINGLE
from chronos_jax.checkpoints.weights import ReadWeight, Weight, flatten, published_shapes, shape_mismatches, tensors_of


def save_safetensors(
    folder: Path | str,
    params: Mapping[str, Any],
    table: Sequence[Weight],
    config: Mapping[str, Any],
    overwrite: bool = False,
) -> None:
    """Writes `config.json` and `model.safetensors` in the published layout, which the reference loads.

    Args:
        folder: Where; appears when it is complete.
        params: The model's pure state: nested dictionaries of arrays, all float32 or all bfloat16.
        table: The weight table of the model.
        config: The published form of the configuration.
        overwrite: Whether a checkpoint that is there already is replaced.

    Raises:
        CheckpointError: the arrays are not those of the table, the destination is taken or cannot be written.
    """
    dtype = common_dtype(params, table)
    arrays = dict(flatten(params))
    write_safetensors(folder, table, lambda weight: np.asarray(arrays[weight.path]), dtype, config, overwrite)


def common_dtype(params: Mapping[str, Any], table: Sequence[Weight]) -> np.dtype:
    """The one type of a model's parameters.

    Raises:
        CheckpointError: the arrays are not those of the table, or not all float32 or all bfloat16; lists everything.
    """
    arrays = dict(flatten(params))
    problems = list(
        shape_mismatches(
            {".".join(path): tuple(array.shape) for path, array in arrays.items()},
            {".".join(weight.path): weight.model_shape for weight in table},
        )
    )
    dtypes = sorted({str(array.dtype) for array in arrays.values()})
    if dtypes not in (["float32"], ["bfloat16"]):
        problems.append(f"the arrays are of {', '.join(dtypes)}, expected all float32 or all bfloat16")
    if problems:
        raise CheckpointError.listing("the parameters are not those of the model", problems)
    return np.dtype(arrays[table[0].path].dtype)


def write_safetensors(
    folder: Path | str,
    table: Sequence[Weight],
    read: ReadWeight,
    dtype: np.dtype,
    config: Mapping[str, Any],
    overwrite: bool = False,
    companions: Mapping[str, Path] | None = None,
) -> None:
    """As `save_safetensors`, for arrays of this dtype that are read one after the other, so one is in memory at a time.

    The library's own writer wants all tensors in memory at once; this writes the same bytes
    (https://huggingface.co/docs/safetensors, "Format"). `companions` are files to copy, by their place in the folder.
    """
    code = next(code for code, name in DTYPES.items() if name == dtype.name)
    offsets: dict[str, int] = {}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}  # transformers refuses files without it
    end = 0
    for name, shape in sorted(published_shapes(table)):
        offsets[name], end = end, end + math.prod(shape) * dtype.itemsize
        header[name] = {"dtype": code, "shape": shape, "data_offsets": [offsets[name], end]}
    encoded = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    encoded += b" " * (-len(encoded) % 8)  # tensors start at a multiple of eight bytes
    with destination(Path(folder), config, overwrite, companions) as beside, (beside / SINGLE).open("wb") as file:
        file.write(struct.pack("<Q", len(encoded)) + encoded)
        for weight in table:
            for name, tensor in tensors_of(weight, read(weight)):
                file.seek(8 + len(encoded) + offsets[name])
                file.write(tensor.tobytes())
            del tensor  # a view, which would keep this array in memory while the next is read
