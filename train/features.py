"""Encoder output of a whole split, computed once, by all processes, in streams, and kept on disk."""

import hashlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import grain
import jax
import numpy as np
from jaxtyping import Float32

from chronos_jax.progress import progress_bar
from train.encoder import FrozenEncoder
from train.feature_files import plain_refusal, sweep, write_json
from train.feature_shards import MOST_SHARDS, Features, Shard, shards_of
from train.prefetch import prefetched
from train.processes import Stopped, on_first, same_number, together

HEADER = "header.json"  # written last: a folder that has it was complete
LAYOUT = "layout.json"  # written first: how the windows are cut into shards
BATCHES_PER_SHARD = 8  # at least; what a killed extraction loses. 21 MB of features with the default batch and encoder
POLL_S = 0.2


@runtime_checkable
class Encodable(Protocol):
    """What can be encoded and kept: the windows of a split, or texts.

    Attributes:
        kind: What they are, for messages.
        fingerprint: Changes with them.
    """

    kind: str

    @property
    def fingerprint(self) -> str: ...

    def __len__(self) -> int: ...

    def inputs(self, rows: range) -> Any:
        """Some of them, as the encoder takes them."""


@dataclass(frozen=True)
class FeatureStore:
    """A folder with one folder per (encoder, options, data), named by their hash.

    The encoder is frozen, so its output for a window never changes: any number of epochs, and any number of runs that
    share the folder, need it once. A folder consists of shards, each of which appears whole and has a checksum. An
    extraction that is killed goes on with the shards that are missing.

    Attributes:
        root: The folder, which all processes see.
        workers: Processes that read windows, for each process that encodes; 0 for threads.
    """

    root: Path
    workers: int = 0

    def get(self, split: Encodable, encoder: FrozenEncoder, stop: Callable[[], bool] = lambda: False) -> Features:
        """The features of a split, or of texts, from disk where they are there and whole, else computed and kept.

        All processes call this together; each verifies, and where it has to computes, its share of the shards on its
        own devices. Windows are read in streams.

        Args:
            split: The windows or texts.
            encoder: What makes features of them.
            stop: Asked before each pass of the encoder whether to end.

        Raises:
            Stopped: `stop` said so. What is stored stays.
            ValueError: The encoder's output is not finite (for which windows or texts).
            OSError: The folder cannot be written to.
        """
        before = encoder.passes
        folder = self.root / feature_key(split.fingerprint, encoder)
        on_first(lambda: _prepare(folder, _shard_size(len(split), encoder.batch_size)))
        per_shard = _read(folder / LAYOUT)["windows_per_shard"]
        shards = shards_of(folder, len(split), per_shard)
        mine = shards[jax.process_index() :: jax.process_count()]
        # What a process leaves that ends before it is done, for those that wait for its shards.
        ended = folder / f".ended-{same_number():016x}"

        def stops() -> bool:
            return stop() or ended.exists()

        def complete() -> None:
            with progress_bar() as progress:
                task = progress.add_task(f"encoding {split.kind}", total=sum(map(len, mine)))
                missing = _missing(mine, stops, lambda windows: progress.advance(task, windows))
                self._encode(missing, split, encoder, stops, lambda windows: progress.advance(task, windows))
            if jax.process_index() == 0:
                _wait_for([shard.record for shard in shards], stops)
                _write_header(folder, Features(folder, len(split), per_shard), split, encoder)
            _wait_for([folder / HEADER], stops)

        def complete_or_tell() -> None:
            try:
                complete()
            except BaseException:
                if jax.process_count() > 1:
                    ended.touch()
                raise

        try:
            together(complete_or_tell)
        finally:
            if jax.process_index() == 0:
                ended.unlink(missing_ok=True)
        return Features(folder, len(split), per_shard, encoder.passes - before)

    def _encode(
        self,
        shards: Sequence[Shard],
        split: Encodable,
        encoder: FrozenEncoder,
        stop: Callable[[], bool],
        advance: Callable[[int], object],
    ) -> None:
        """Computes and stores shards one after the other, while the windows of the next batches are being read."""
        batches = [batch for shard in shards for batch in _batches(shard, encoder.batch_size)]
        if not batches:
            return
        read = grain.MapDataset.source(batches).map(_Read(split))
        with closing(iter(prefetched(read, self.workers))) as inputs:
            for shard in shards:
                encoded = []
                for batch in _batches(shard, encoder.batch_size):
                    _end_if(stop)
                    encoded.append(encoder(next(inputs)))
                    _check_finite(encoded[-1], batch, split.kind)
                    advance(len(batch))
                shard.write(encoded)


class _Read(grain.transforms.Map):
    def __init__(self, split: Encodable) -> None:
        self.split = split

    def map(self, rows: range) -> Any:
        return self.split.inputs(rows)


def feature_key(data_fingerprint: str, encoder: FrozenEncoder) -> str:
    """Hash of everything that the features depend on: weights, options, data."""
    content = json.dumps({"encoder": encoder.identity, "data": data_fingerprint}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _shard_size(windows: int, batch_size: int) -> int:
    batches = -(-windows // batch_size)
    return batch_size * max(BATCHES_PER_SHARD, -(-batches // MOST_SHARDS))


def _batches(shard: Shard, size: int) -> list[range]:
    return [range(first, min(first + size, shard.behind)) for first in range(shard.first, shard.behind, size)]


def _prepare(folder: Path, per_shard: int) -> None:
    """Makes the folder, unless it is there, and decides how the windows are cut: as they were, if they were.

    Where the two files that say so differ, the header counts: it was written for shards that are there.
    """
    with plain_refusal(folder):
        folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    begun = _windows_per_shard(folder / LAYOUT)
    size = _windows_per_shard(folder / HEADER) or begun or per_shard
    if begun != size:
        write_json(folder / LAYOUT, {"windows_per_shard": size})


def _windows_per_shard(path: Path) -> int | None:
    number = _read(path).get("windows_per_shard")
    return number if isinstance(number, int) and number > 0 else None


def _read(path: Path) -> dict[str, Any]:
    """What a JSON file holds; nothing where it is absent or damaged."""
    try:
        content = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write_header(folder: Path, features: Features, split: Encodable, encoder: FrozenEncoder) -> None:
    """Says that the folder is complete, and what is in it."""
    content = {
        "shape": list(features.shape),
        "windows_per_shard": _windows_per_shard(folder / LAYOUT),
        "encoder": encoder.identity,
        "data": split.fingerprint,
    }
    if _read(folder / HEADER) != json.loads(json.dumps(content)):
        write_json(folder / HEADER, content)


def _missing(shards: Sequence[Shard], stop: Callable[[], bool], advance: Callable[[int], object]) -> list[Shard]:
    """Shards that are not there or not as they were written. How many are damaged is said in one line."""
    missing, damaged = [], []
    complete = bool(shards) and (shards[0].folder / HEADER).exists()
    for shard in shards:
        _end_if(stop)
        if (fault := shard.fault()) is None:
            advance(len(shard))
            continue
        missing.append(shard)
        if complete or shard.record.exists():  # otherwise it just has not been computed yet
            damaged.append(f"{shard.path}: {fault}")
    if damaged:
        message = f"damaged shards of stored features: {len(damaged)} of {len(shards)}, such as {damaged[0]}"
        print(f"{message}. They are computed again", file=sys.stderr, flush=True)
    return missing


def _wait_for(paths: Sequence[Path], stop: Callable[[], bool]) -> None:
    """Until other processes have written these files; a barrier could not be left when the run is asked to end."""
    for path in paths:
        while not path.exists():
            _end_if(stop)
            time.sleep(POLL_S)


def _end_if(stop: Callable[[], bool]) -> None:
    if stop():
        raise Stopped("asked to end while features were computed: those that are stored are kept")


def _check_finite(features_BxF: Float32[np.ndarray, "b f"], rows: range, kind: str) -> None:
    if len(bad := np.flatnonzero(~np.isfinite(features_BxF).all(axis=1))):
        raise ValueError(f"the encoder's output is not finite for {kind} {[rows[int(i)] for i in bad[:8]]} …")
