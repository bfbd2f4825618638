"""The commands `to-orbax` and `to-safetensors`: one weight in memory at a time, nothing half-written."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from chronos_jax.checkpoints.destination import check_destination
from chronos_jax.checkpoints.loading import NUMPY_DTYPES, Dtype, iterate_params, stored
from chronos_jax.checkpoints.orbax import write_orbax
from chronos_jax.checkpoints.saving import write_safetensors
from chronos_jax.checkpoints.sources import Source, load_config
from chronos_jax.checkpoints.weights import Weight
from chronos_jax.families import family_of
from convert.location import Location


@dataclass(frozen=True, kw_only=True)
class Conversion(Location):
    """What to convert, to where and how."""

    destination: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DST")]
    """The folder to make."""
    dtype: Dtype | None = None
    """Of the result; by default bfloat16 where every tensor is, else float32."""
    overwrite: bool = False
    """Replace a checkpoint that is at DST already."""


def to_orbax(options: Annotated[Conversion, tyro.conf.arg(name="")]) -> None:
    """Convert a checkpoint to Orbax: config.json, and the arrays in the layout of the Flax model."""
    _, _, weights, config = _open(options)
    arrays = ((weight.path, array) for weight, array in weights)
    write_orbax(options.destination, arrays, config, options.overwrite)
    _report(options)


def to_safetensors(options: Annotated[Conversion, tyro.conf.arg(name="")]) -> None:
    """Convert a checkpoint to one safetensors file and config.json, which the PyTorch reference loads."""
    table, dtype, weights, config = _open(options)
    write_safetensors(options.destination, weights, table, dtype, config, options.overwrite)
    _report(options)


def _open(
    options: Conversion,
) -> tuple[list[Weight], np.dtype, Iterator[tuple[Weight, np.ndarray]], dict[str, Any]]:
    """The weight table, the result's dtype, the arrays still to be read and the configuration; all checked."""
    check_destination(options.destination.absolute(), options.overwrite)
    source = options.resolve()
    config = load_config(source)
    table = family_of(config).table
    dtype = options.dtype or _dtype_of(source)
    weights = iterate_params(source, table, dtype)
    # transformers creates the model in this dtype; newer releases spell the key without "torch_".
    config["dtype" if "dtype" in config else "torch_dtype"] = dtype
    return table, NUMPY_DTYPES[dtype], _with_progress(weights, table, NUMPY_DTYPES[dtype]), config


def _dtype_of(source: Source) -> Dtype:
    return "bfloat16" if {tensor.dtype for tensor in stored(source).values()} == {"bfloat16"} else "float32"


def _with_progress(
    weights: Iterable[tuple[Weight, np.ndarray]], table: list[Weight], dtype: np.dtype
) -> Iterator[tuple[Weight, np.ndarray]]:
    total = sum(int(np.prod(weight.model_shape)) for weight in table) * dtype.itemsize
    columns = TextColumn("converting"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("converting", total=total)
        for weight, array in weights:
            yield weight, array
            progress.advance(task, array.nbytes)


def _report(options: Conversion) -> None:
    print(f"wrote {options.destination}", file=sys.stderr)
