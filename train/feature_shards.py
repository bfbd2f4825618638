"""Stored features: shards that carry their checksum, and rows gathered from them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int

from train.feature_files import appearing, write_json
from train.moments import Moments

MOST_SHARDS = 4096  # all of them are open at a time, as memory maps


@dataclass(frozen=True)
class Shard:
    """The features of consecutive windows.

    Two files, named by the windows, so that shards of other sizes are never mistaken for each other: a plain .npy
    (windows, features) in float32, and a record, which appears second, with the checksum and the moments.
    """

    folder: Path
    first: int
    behind: int

    @property
    def path(self) -> Path:
        """The array."""
        return self.folder / f"features-{self.first:010d}-{self.behind:010d}.npy"

    @property
    def record(self) -> Path:
        """What is known of the array, as JSON."""
        return self.path.with_suffix(".json")

    def __len__(self) -> int:
        return self.behind - self.first

    def fault(self) -> str | None:
        """What is wrong with this shard, in a few words; None where it is as it was written. Reads all of it."""
        try:
            record = json.loads(self.record.read_text())
            if record["sha256"] != self._digest(_moments(record, len(self))):
                return "its checksum does not fit"
        except FileNotFoundError as error:
            return f"{Path(error.filename).name} is missing"
        except (OSError, ValueError, LookupError, TypeError) as error:
            return f"{self.record.name} cannot be read: {error}"
        return None

    def open(self, features: int) -> Float32[np.ndarray, "n f"]:
        """The array, memory-mapped. That its width is known saves half the time that np.load takes to look it up."""
        header = self.path.stat().st_size - len(self) * features * np.dtype(np.float32).itemsize
        return np.memmap(self.path, np.float32, "r", header, (len(self), features))

    def moments(self) -> Moments:
        """Those of the windows, from the record."""
        return _moments(json.loads(self.record.read_text()), len(self))

    def write(self, batches: Sequence[Float32[np.ndarray, "_ f"]]) -> None:
        """Stores the windows' features, in order; where another run has stored them meanwhile, that stays.

        Raises:
            OSError: They cannot be written. A shard without its record is none.
        """
        if self.fault() is None:
            return
        header = {"descr": "<f4", "fortran_order": False, "shape": (len(self), batches[0].shape[1])}
        with appearing(self.path) as file:
            np.lib.format.write_array_header_1_0(file, header)
            for batch in batches:
                file.write(np.ascontiguousarray(batch, "<f4").data)
        moments = reduce(Moments.merged, map(Moments.of, batches))
        numbers = {"mean": moments.mean_F.tolist(), "squares": moments.squares_F.tolist()}
        write_json(self.record, {"sha256": self._digest(moments), **numbers})

    def _digest(self, moments: Moments) -> str:
        # Of everything that is stored: a changed digit of a moment counts as damage, too.
        with self.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
        digest.update(moments.mean_F.tobytes() + moments.squares_F.tobytes())
        return digest.hexdigest()


class Features:
    """Features of a split, in its order: rows that are gathered from the shards on disk.

    Attributes:
        folder: Where they are.
        shape: Windows and features.
        encoder_passes: How often the encoder ran in this process to get them: 0 where all were stored.
    """

    def __init__(self, folder: Path, windows: int, per_shard: int, encoder_passes: int = 0) -> None:
        """Opens a complete folder. Pickled, it is opened anew, so that no features travel to worker processes.

        Args:
            folder: Of the store.
            windows: Rows in all shards together.
            per_shard: Rows in each shard but the last.
            encoder_passes: See above.
        """
        self.folder, self.encoder_passes = folder, encoder_passes
        self._shards, self._per_shard = shards_of(folder, windows, per_shard), per_shard
        self.shape = windows, np.load(self._shards[0].path, mmap_mode="r").shape[1]
        self._open = lru_cache(MOST_SHARDS)(lambda number: self._shards[number].open(self.shape[1]))

    def __reduce__(self) -> tuple[Any, ...]:
        return Features, (self.folder, len(self), self._per_shard, self.encoder_passes)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows_B: Int[np.ndarray, " b"]) -> Float32[np.ndarray, "b f"]:
        """The features of these windows, in this order.

        Raises:
            IndexError: There is no such window.
        """
        if len(rows_B) and not (rows_B.min() >= 0 and rows_B.max() < len(self)):
            raise IndexError(f"there are features of windows 0 to {len(self) - 1}, not of all in {rows_B}")
        gathered_BxF = np.empty((len(rows_B), self.shape[1]), np.float32)
        shards_B, within_B = np.divmod(rows_B, self._per_shard)
        for number in np.unique(shards_B).tolist():
            here_B = shards_B == number
            gathered_BxF[here_B] = self._open(number)[within_B[here_B]]
        return gathered_BxF

    def moments(self) -> tuple[Float64[np.ndarray, " f"], Float64[np.ndarray, " f"]]:
        """Mean and deviation of each feature; the same bits however many processes have written them."""
        together = reduce(Moments.merged, (shard.moments() for shard in self._shards))
        return together.mean_F, together.deviation()


def shards_of(folder: Path, windows: int, per_shard: int) -> list[Shard]:
    """All shards of a folder, the last of which may be smaller."""
    return [Shard(folder, first, min(first + per_shard, windows)) for first in range(0, windows, per_shard)]


def _moments(record: dict[str, Any], rows: int) -> Moments:
    return Moments(rows, np.array(record["mean"], np.float64), np.array(record["squares"], np.float64))
