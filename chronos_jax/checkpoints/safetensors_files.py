"""Safetensors in: one file, or shards with an index."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from chronos_jax.checkpoints.errors import CheckpointError
from chronos_jax.checkpoints.weights import Weight, is_unused, published_shapes, shape_mismatches

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"}


class Tensor(NamedTuple):
    """Where a tensor lies, and what its file's header says of it; `dtype` as safetensors spells it, such as "F32"."""

    file: Path
    dtype: str
    shape: tuple[int, ...]


def find(folder: Path) -> tuple[tuple[Path, ...], Path | None]:
    """The weight files of a folder, and the index if they are shards; like the reference, a single file goes first.

    Raises:
        CheckpointError: there are none, the index is malformed, or it names a file outside the folder.
    """
    if (folder / SINGLE).is_file():
        return (folder / SINGLE,), None
    index = folder / INDEX
    if index.is_file():
        return tuple(folder / shard for shard in sorted(set(_weight_map(index).values()))), index
    message = f"{folder} holds neither {SINGLE} nor {INDEX}"
    names = sorted(path.name for path in folder.iterdir())
    if others := [name for name in names if name.endswith(".safetensors")]:
        message += f", only {', '.join(others)}"
    if pickles := [name for name in names if Path(name).suffix in PICKLES]:
        message += f"; of its pickle files ({', '.join(pickles)}) none is read"
    message += ". Pickle files can run code and are never downloaded or read: ask for the weights as safetensors"
    raise CheckpointError(message)


class SafetensorsFiles:
    """The tensors of one or several files, read one at a time.

    Attributes:
        tensors: What the files hold, by name.
        problems: What is wrong with the files themselves, one sentence each.
    """

    def __init__(self, files: Sequence[Path], index: Path | None = None) -> None:
        """Reads the headers, not the tensors. Raises CheckpointError for a malformed index."""
        self.tensors: dict[str, Tensor] = {}
        self.problems: list[str] = []
        self._open: dict[Path, safe_open] = {}
        for file in files:
            self._read_header(file)
        if index is not None:
            self._compare(_weight_map(index))

    def read(self, name: str) -> np.ndarray:
        """A tensor as stored. Raises CheckpointError where the file ends early or has changed."""
        file = self.tensors[name].file
        try:
            return self._open[file].get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"cannot read {name} from {file}: {error}") from error

    def mismatches(self, table: Sequence[Weight], unused: Sequence[str] = ()) -> Iterator[str]:
        """What is missing, unknown, of another shape or of an unreadable dtype, compared with a weight table.

        Tensors whose names fit a pattern of `unused` may be there, and be anything.
        """
        found = {name: tensor.shape for name, tensor in self.tensors.items() if not is_unused(name, unused)}
        yield from shape_mismatches(found, dict(published_shapes(table)))
        yield from self.unreadable(unused)

    def unreadable(self, unused: Sequence[str] = ()) -> Iterator[str]:
        """Tensors whose dtype is not one of `DTYPES`."""
        for name, tensor in self.tensors.items():
            if tensor.dtype not in DTYPES and not is_unused(name, unused):
                yield f"{name} is stored as {tensor.dtype}, expected one of {', '.join(DTYPES)}"

    def _read_header(self, file: Path) -> None:
        try:
            # Memory-mapped pages would count as this process's memory as long as the file is open.
            handle = safe_open(file, framework="np", backend="pread")
        except FileNotFoundError:
            self.problems.append(f"{file.name} is absent")
            return
        except (SafetensorError, OSError) as error:
            self.problems.append(f"{file.name} is truncated or corrupt: {error}")
            return
        self._open[file] = handle
        for name in handle.keys():  # noqa: SIM118 (a safe_open is no mapping)
            header = handle.get_slice(name)
            if name in self.tensors:
                self.problems.append(f"{name} is both in {self.tensors[name].file.name} and in {file.name}")
            else:
                self.tensors[name] = Tensor(file, header.get_dtype(), tuple(header.get_shape()))

    def _compare(self, weight_map: dict[str, str]) -> None:
        read = {file.name for file in self._open}
        for name, shard in weight_map.items():
            found = self.tensors.get(name)
            if shard in read and (found is None or found.file.name != shard):
                elsewhere = f", but in {found.file.name}" if found else ""
                self.problems.append(f"{name} is not in {shard}, where the index has it{elsewhere}")
        self.problems += [
            f"{name} is in {tensor.file.name}, but not in the index"
            for name, tensor in self.tensors.items()
            if name not in weight_map
        ]


def _weight_map(index: Path) -> dict[str, str]:
    """Tensor name → file name, as an index says."""
    try:
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        if not all(isinstance(shard, str) for shard in weight_map.values()):
            raise TypeError("the names of files must be strings")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{index} is not an index of safetensors shards, a 'weight_map' of tensors to file names in JSON: {error}"
        ) from error
    if outside := [
        s for s in sorted(set(weight_map.values())) if s != Path(s).name or "\\" in s or not s.endswith(".safetensors")
    ]:
        raise CheckpointError(
            f"{index} names {', '.join(map(repr, outside))}, expected names of safetensors files that lie beside it"
        )
    return weight_map
