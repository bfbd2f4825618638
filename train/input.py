"""Batches for training: which windows with which captions at which step, and their rows on the devices."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import grain
import jax
import numpy as np
from absl import flags
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Shaped

from chronos_jax.sharding import named_sharding
from train.negatives import EMPTY
from train.text import TextInputs


class Batch(NamedTuple):
    """Windows, and one caption of each. On the host (as NumPy) rows of this process, on the devices those of all."""

    features_BxF: Float[Array, "b f"]
    text_inputs_BxK: Shaped[Array, "b k"]  # rows of the caption drawn, for the text tower
    text_ids_B: Int[Array, " b"]  # number of the caption drawn; equal texts have equal numbers
    own_texts_BxC: Int[Array, "b c"]  # numbers of all captions of the window, padded with EMPTY


@dataclass(frozen=True)
class Captions:
    """The captions of a split as tables, one row per window or per different text.

    Attributes:
        text_inputs_UxK: What the text tower takes, of each different text.
        own_texts_NxC: Numbers of the texts of each window, the first `counts_N` of a row, then EMPTY.
        counts_N: Captions of each window, at least one.
    """

    text_inputs_UxK: Shaped[np.ndarray, "u k"]
    own_texts_NxC: Int[np.ndarray, "n c"]
    counts_N: Int[np.ndarray, " n"]

    @classmethod
    def of(cls, captions: Sequence[Sequence[str]], text_inputs: TextInputs) -> "Captions":
        """Tables of the captions of each window, none of them without any."""
        numbers: dict[str, int] = {}
        own = [[numbers.setdefault(text, len(numbers)) for text in dict.fromkeys(texts)] for texts in captions]
        counts_N = np.array([len(texts) for texts in own], np.int32)
        own_texts_NxC = np.full((len(own), counts_N.max()), EMPTY, np.int32)
        for row, texts in zip(own_texts_NxC, own, strict=True):
            row[: len(texts)] = texts
        return cls(text_inputs(list(numbers)), own_texts_NxC, counts_N)


@dataclass(frozen=True)
class Examples:
    """A split as training needs it: rows that batches are gathered from."""

    features_NxF: Float[np.ndarray, "n f"]  # often a memory map
    captions: Captions

    def gather(self, windows_B: Int[np.ndarray, " b"], draws_B: Int[np.ndarray, " b"]) -> Batch:
        """The rows of these windows, with the caption at position `draws_B` among those of each."""
        own_texts_BxC = self.captions.own_texts_NxC[windows_B]
        text_ids_B = own_texts_BxC[np.arange(len(windows_B)), draws_B]
        rows: list[Any] = [
            self.features_NxF[windows_B],
            self.captions.text_inputs_UxK[text_ids_B],
            text_ids_B,
            own_texts_BxC,
        ]
        return Batch(*rows)

    def __reduce__(self) -> tuple[Any, ...]:
        """A worker process opens the memory map anew; its content may be larger than memory and is not sent."""
        if isinstance(self.features_NxF, np.memmap):
            return _open_examples, (self.features_NxF.filename, self.captions)
        return Examples, (self.features_NxF, self.captions)


def _open_examples(path: Path, captions: Captions) -> Examples:
    return Examples(np.load(path, mmap_mode="r"), captions)


class _Gather(grain.transforms.Map):
    def __init__(self, examples: Examples, process: int, processes: int) -> None:
        self.examples, self.process, self.processes = examples, process, processes

    def map(self, drawn: tuple[np.ndarray, np.ndarray]) -> Batch:
        windows_B, draws_B = drawn
        rows = len(windows_B) // self.processes
        local = slice(self.process * rows, (self.process + 1) * rows)
        return self.examples.gather(windows_B[local], draws_B[local])


class _DrawCaptions(grain.transforms.RandomMap):
    def __init__(self, counts_N: np.ndarray) -> None:
        self.counts_N = counts_N

    def random_map(self, windows_B: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return windows_B, rng.integers(self.counts_N[windows_B])


def training_batches(
    examples: Examples, *, batch_size: int, seed: int, workers: int = 0
) -> grain.DatasetIterator[Batch]:
    """Batches without end, in another order and with other captions each epoch, the same for the same seed.

    The order over all processes is drawn everywhere and each process gathers only its own rows: neither the number of
    processes nor of workers changes what a step sees. Windows that do not fill a batch are left out of that epoch. The
    iterator's state can be checkpointed.

    Args:
        examples: Where rows are gathered from.
        batch_size: Windows per batch, over all processes.
        seed: Of order and captions.
        workers: Processes that gather; 0 for threads of this one.
    """
    drawn = (
        grain.MapDataset.range(len(examples.features_NxF))
        .seed(seed)
        .shuffle()
        .batch(batch_size, drop_remainder=True)
        .random_map(_DrawCaptions(examples.captions.counts_N))
        .repeat()
        .map(_Gather(examples, jax.process_index(), jax.process_count()))
    )
    # Few batches in flight: the default of 500 would hold gigabytes.
    batches = drawn.to_iter_dataset(grain.ReadOptions(num_threads=2, prefetch_buffer_size=4))
    if workers:
        # Grain's worker processes read settings from absl's flags, which only absl programs parse.
        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()
        batches = batches.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2))
    return iter(batches)


def validation_batches(examples: Examples, *, batch_size: int, shards: int) -> list[Batch]:
    """Every window once with its first caption, in order, in equal batches.

    Equal so that the loss, which grows with the number of texts to choose from, means the same in each. Their number is
    the least with at most `batch_size` windows each; at most `shards` windows per batch are left out by that.

    Args:
        examples: Where rows are gathered from.
        batch_size: Upper bound, a multiple of `shards`.
        shards: What the size must be a multiple of; at most the number of windows.
    """
    rows = len(examples.features_NxF) // shards  # of each shard, over all batches
    batches = -(-rows // (batch_size // shards))
    size = rows // batches * shards
    gather = _Gather(examples, jax.process_index(), jax.process_count())
    starts = range(0, batches * size, size)
    return [gather.map((np.arange(start, start + size), np.zeros(size, np.int32))) for start in starts]


def to_devices(batch: Batch, mesh: Mesh) -> Batch:
    """One array over all processes of what each of them holds a part of, split over the mesh."""
    return jax.tree.map(
        lambda rows: jax.make_array_from_process_local_data(
            named_sharding(mesh, ("batch", *(None,) * (rows.ndim - 1))), rows
        ),
        batch,
    )
