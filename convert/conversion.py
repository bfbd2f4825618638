"""The commands `to-orbax` and `to-safetensors`: one weight in memory at a time, nothing half-written."""

import math
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import tyro
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from chronos_jax.checkpoints.companions import companions_in
from chronos_jax.checkpoints.destination import check_destination
from chronos_jax.checkpoints.loading import NUMPY_DTYPES, Dtype, Stored, open_params, stored
from chronos_jax.checkpoints.orbax import write_orbax
from chronos_jax.checkpoints.saving import write_safetensors
from chronos_jax.checkpoints.sources import load_config
from chronos_jax.checkpoints.weights import ReadWeight, Weight, is_unused
from chronos_jax.families import family_of
from convert.location import Location
from convert.text_files import describe_text_files


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
    """Convert a checkpoint to Orbax: config.json, the arrays in the layout of the Flax model, a tokenizer's files."""
    opened = _open(options)
    by_path = {weight.path: weight for weight in opened.table}
    with _progress(opened) as read:
        write_orbax(
            options.destination,
            list(by_path),
            lambda path: read(by_path[path]),
            opened.config,
            options.overwrite,
            opened.companions,
        )
    _report(options)


def to_safetensors(options: Annotated[Conversion, tyro.conf.arg(name="")]) -> None:
    """Convert a checkpoint to one safetensors file, config.json and a tokenizer's files, as PyTorch loads."""
    opened = _open(options)
    with _progress(opened) as read:
        write_safetensors(
            options.destination, opened.table, read, opened.dtype, opened.config, options.overwrite, opened.companions
        )
    _report(options)


class _Opened(NamedTuple):
    """A source that was found to be in order, nothing read yet."""

    table: list[Weight]
    read: ReadWeight
    dtype: np.dtype
    config: dict[str, Any]
    companions: dict[str, Path]


def _open(options: Conversion) -> _Opened:
    check_destination(options.destination, options.overwrite)
    source = options.resolve()
    tensors = stored(source)
    family = family_of(load_config(source), tensors)
    dtype = options.dtype or _dtype_of(tensor for name, tensor in tensors.items() if not is_unused(name, family.unused))
    config = family.config
    # transformers creates the model in this dtype; newer releases spell the key without "torch_".
    config["dtype" if "dtype" in config else "torch_dtype"] = dtype
    read = open_params(source, family.table, dtype, family.unused)
    describe_text_files(source, family)  # checks: a text encoder is of no use without them
    companions = companions_in((source.base or source).folder)
    return _Opened(family.table, read, NUMPY_DTYPES[dtype], config, companions)


def _dtype_of(tensors: Iterable[Stored]) -> Dtype:
    return "bfloat16" if {tensor.dtype for tensor in tensors} == {"bfloat16"} else "float32"


@contextmanager
def _progress(opened: _Opened) -> Iterator[ReadWeight]:
    """The reader, with a bar on the terminal that moves as it reads."""
    total = sum(math.prod(weight.model_shape) for weight in opened.table) * opened.dtype.itemsize
    columns = TextColumn("converting"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("converting", total=total)

        def read(weight: Weight) -> np.ndarray:
            array = opened.read(weight)
            progress.advance(task, array.nbytes)
            return array

        yield read


def _report(options: Conversion) -> None:
    print(f"wrote {options.destination}", file=sys.stderr)
