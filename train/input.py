"""Batches for training: which windows with which captions at which step, and their rows on the devices."""

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, SupportsIndex

import grain
import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Shaped

from chronos_jax.sharding import batch_shards, named_sharding
from train.feature_shards import Features
from train.negatives import EMPTY
from train.prefetch import prefetched
from train.text_encoder import PretrainedTexts, TextInputs


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
        text_inputs_UxK: What the text tower takes, of each different text; on disk where a pretrained encoder made it.
        own_texts_NxC: Numbers of the texts of each window, the first `counts_N` of a row, then EMPTY.
        counts_N: Captions of each window, at least one.
    """

    text_inputs_UxK: Shaped[np.ndarray, "u k"] | Features
    own_texts_NxC: Int[np.ndarray, "n c"]
    counts_N: Int[np.ndarray, " n"]

    @classmethod
    def of(
        cls,
        captions: Sequence[Sequence[str]],
        text_inputs: TextInputs,
        stop: Callable[[], bool] = lambda: False,
    ) -> "Captions":
        """Tables of the captions of each window, none of them without any.

        All processes call this together; a pretrained encoder asks `stop` before each pass whether to end.
        """
        numbers: dict[str, int] = {}
        own = [[numbers.setdefault(text, len(numbers)) for text in dict.fromkeys(texts)] for texts in captions]
        counts_N = np.array([len(texts) for texts in own], np.int32)
        own_texts_NxC = np.full((len(own), counts_N.max()), EMPTY, np.int32)
        for row, texts in zip(own_texts_NxC, own, strict=True):
            row[: len(texts)] = texts
        different = list(numbers)
        if isinstance(text_inputs, PretrainedTexts):
            return cls(text_inputs.stored(different, stop), own_texts_NxC, counts_N)
        return cls(text_inputs(different), own_texts_NxC, counts_N)


@dataclass(frozen=True)
class Examples:
    """A split as training needs it: rows that batches are gathered from."""

    features: Features | Float[np.ndarray, "n f"]
    captions: Captions

    def gather(self, windows_B: Int[np.ndarray, " b"], draws_B: Int[np.ndarray, " b"]) -> Batch:
        """The rows of these windows, with the caption at position `draws_B` among those of each."""
        own_texts_BxC = self.captions.own_texts_NxC[windows_B]
        text_ids_B = own_texts_BxC[np.arange(len(windows_B)), draws_B]
        rows: list[Any] = [
            self.features[windows_B],
            self.captions.text_inputs_UxK[text_ids_B],
            text_ids_B,
            own_texts_BxC,
        ]
        return Batch(*rows)


@dataclass(frozen=True)
class BatchLayout:
    """How the rows of a global batch lie on the devices of all processes."""

    mesh: Mesh
    batch_size: int

    @cached_property
    def local_rows(self) -> Int[np.ndarray, " r"]:
        """Rows that devices of this process hold, ascending. Processes share rows only along the axis "tensor"."""
        held = named_sharding(self.mesh, ("batch",)).addressable_devices_indices_map((self.batch_size,)).values()
        return np.unique(np.concatenate([np.arange(self.batch_size)[rows] for rows in held]))

    def to_devices(self, batch: Batch) -> Batch:
        """One array over all processes of what each of them has gathered, its `local_rows`."""
        return jax.tree.map(self.place, batch)

    def place(self, local: np.ndarray) -> jax.Array:
        """One array over all processes; of its first axis each gives its `local_rows`."""

        def part(index: Any) -> np.ndarray:
            first, behind, _ = index[0].indices(self.batch_size)
            at = int(np.searchsorted(self.local_rows, first))
            return local[at : at + behind - first]

        sharding = named_sharding(self.mesh, ("batch", *(None,) * (local.ndim - 1)))
        return jax.make_array_from_callback((self.batch_size, *local.shape[1:]), sharding, part)


def stop_flags(mesh: Mesh, stop: bool) -> Int[Array, " shards"]:
    """One number for each part that a batch is split into, in those of this process 1 where it wants to stop."""
    layout = BatchLayout(mesh, batch_shards(mesh))
    return layout.place(np.full(len(layout.local_rows), stop, np.int32))


@dataclass(frozen=True)
class _Draws:
    """For every step the windows of this process's rows and the position of a caption among those of each.

    A step is drawn by itself, and of the order only the rows that are asked for: what it costs does not grow with the
    split, nor with the processes. A data source for Grain.
    """

    counts_N: Int[np.ndarray, " n"]  # captions of each window
    batch_size: int
    local_rows: Int[np.ndarray, " r"]
    seed: int

    def __len__(self) -> int:
        return sys.maxsize  # as many epochs as are asked for

    def __getitem__(self, step: SupportsIndex) -> tuple[np.ndarray, np.ndarray]:
        step, windows = step.__index__(), len(self.counts_N)
        epoch, number = divmod(step, windows // self.batch_size)
        order = int(np.random.SeedSequence((self.seed, epoch)).generate_state(1)[0])
        drawn = (
            grain.experimental.index_shuffle(position, max_index=windows - 1, seed=order, rounds=4)
            for position in (number * self.batch_size + self.local_rows).tolist()
        )
        windows_R = np.fromiter(drawn, np.int64, len(self.local_rows))
        chance_R = np.random.default_rng((self.seed, step)).random(self.batch_size)[self.local_rows]
        return windows_R, (chance_R * self.counts_N[windows_R]).astype(np.int64)


class _Gather(grain.transforms.Map):
    def __init__(self, examples: Examples) -> None:
        self.examples = examples

    def map(self, drawn: tuple[np.ndarray, np.ndarray]) -> Batch:
        return self.examples.gather(*drawn)


def training_batches(
    examples: Examples, layout: BatchLayout, *, seed: int, start: int = 0, workers: int = 0
) -> grain.DatasetIterator[Batch]:
    """Batches on the devices without end, in another order and with other captions each epoch.

    What a step sees is a function of the seed and the step alone. So a run resumes at any step without a state of the
    input, and neither the mesh nor the number of processes or workers changes anything. Each process draws and
    gathers only its own rows. Windows that do not fill a batch are left out of that
    epoch. Two batches are made ready on the devices while a step runs.

    Args:
        examples: Where rows are gathered from.
        layout: Size of a batch over all processes, and how it is split.
        seed: Of order and captions.
        start: Batches to pass over: the steps that were done before.
        workers: Processes that gather; 0 for threads of this one.
    """
    draws = _Draws(examples.captions.counts_N, layout.batch_size, layout.local_rows, seed)
    drawn = grain.MapDataset.source(draws)[start:].map(_Gather(examples))
    batches = prefetched(drawn, workers).map(layout.to_devices)
    return iter(grain.experimental.ThreadPrefetchIterDataset(batches, prefetch_buffer_size=2))


def validation_batches(examples: Examples, mesh: Mesh, *, batch_size: int) -> Iterator[Batch]:
    """Every window once with its first caption, in order, in equal batches.

    Equal so that the loss, which grows with the number of texts to choose from, means the same in each. Their number is
    the least with at most `batch_size` windows each. Their size is a multiple of the shards of the mesh, and of what
    divides both batch_size and 8, so that one device measures the same as two, four and eight; at most so many windows
    per batch are left out.

    Args:
        examples: Where rows are gathered from; at least as many as the mesh has shards of a batch.
        mesh: Where they go.
        batch_size: Upper bound, a multiple of the shards.
    """
    shards = batch_shards(mesh)
    common = math.lcm(shards, math.gcd(batch_size, 8))
    if common <= len(examples.features):
        shards = common
    rows = len(examples.features) // shards  # of each shard, over all batches
    batches = -(-rows // (batch_size // shards))
    size = rows // batches * shards
    layout = BatchLayout(mesh, size)
    first_R = np.zeros(len(layout.local_rows), np.int64)
    for start in range(0, batches * size, size):
        yield layout.to_devices(examples.gather(start + layout.local_rows, first_R))
