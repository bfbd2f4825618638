"""Ragged tasks to batches of few fixed shapes.

Groups of tasks are ordered by length and rounded up to a bucket of patches and of variates, so that a jitted function
compiles once a bucket and never again. Rounding up adds missing values on the left and masked variates, which change
nothing but the last bits of the result. The shape a group is computed in depends on that group alone, except for the
number of groups computed beside it: a full batch, or what is left over in few sizes.
"""

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from chronos_jax.batch_sizes import next_batch_size
from chronos_jax.chronos2.tasks import Task
from chronos_jax.layers.patching import num_patches


class Place(NamedTuple):
    """Where a task stands in a batch: its rows are `[group, first : first + variates]`."""

    task: int
    group: int
    first: int


class Batch(NamedTuple):
    """Groups of one bucket; groups and variates beyond those that have a place are empty.

    Attributes:
        places: One for each task.
        context_GxVxT: Histories at the right end, NaN elsewhere.
        variate_mask_GxV: True for real variates.
        target_mask_GxV: True for targets.
        future_GxVxH: What is known ahead, in whole patches, NaN elsewhere; None where nothing is of any task.
    """

    places: list[Place]
    context_GxVxT: Float[np.ndarray, "g v t"]
    variate_mask_GxV: Bool[np.ndarray, "g v"]
    target_mask_GxV: Bool[np.ndarray, "g v"]
    future_GxVxH: Float[np.ndarray, "g v h"] | None


JOINT_SERIES = 256
"""Series that learn from each other where nobody says how many (reference: the default of batch_size)."""


def joint_groups(
    tasks: Sequence[Task], batch_size: int | None, cross_learning: bool, group_ids: Any
) -> list[list[int]]:
    """Tasks that see each other, by index: each alone, those of one id, or, for cross-learning, `batch_size` series.

    Raises:
        ValueError: Both ways of grouping asked for, or not one id for each task.
        TypeError: No sequence of text or numbers.
    """
    if group_ids is not None:
        if cross_learning:
            raise ValueError("cross_learning joins all inputs of a batch; give it or group_ids, not both")
        ids = group_ids.tolist() if hasattr(group_ids, "tolist") else group_ids
        if not isinstance(ids, Sequence) or isinstance(ids, str):
            raise TypeError(f"group_ids must be a list of ids, one for each input, found {type(group_ids).__name__}")
        if len(ids) != len(tasks):
            raise ValueError(f"group_ids needs one id for each of the {len(tasks)} inputs, found {len(ids)}")
        groups: dict[Hashable, list[int]] = {}
        for index, group in enumerate(ids):
            if not isinstance(group, Hashable) or group is None or group != group:
                raise TypeError(f"group_ids must be text or numbers, found {group!r} for input {index}")
            groups.setdefault(group, []).append(index)
        return list(groups.values())
    if not cross_learning:
        return [[index] for index in range(len(tasks))]
    runs: list[list[int]] = []
    series = batch_size = JOINT_SERIES if batch_size is None else batch_size
    for index, task in enumerate(tasks):
        if series >= batch_size:
            runs.append([])
            series = 0
        runs[-1].append(index)
        series += task.history_VxT.shape[0]
    return runs


def half_octave(n: int) -> int:
    """The smallest of 1, 2, 3, 4, 6, 8, 12, 16, 24, … that is at least n."""
    power = 1 << int(max(n - 1, 0)).bit_length()
    return power * 3 // 4 if power >= 4 and n <= power * 3 // 4 else power


def variate_bucket(n: int) -> int:
    """Variates are exact up to 16; beyond, where whole batches learn from each other, within an eighth octave."""
    step = max((1 << max(n - 1, 0).bit_length()) // 16, 1)
    return -(-n // step) * step


def groups_at_once(tokens: int, positions: int) -> int:
    """How many groups of so many positions these tokens are enough for: a power of two, as are many users' batches."""
    return 1 << (max(tokens // positions, 1).bit_length() - 1)


def batches(
    tasks: Sequence[Task],
    groups: Sequence[Sequence[int]],
    patch_size: int,
    batch_size: int | None,
    *,
    tokens_per_batch: int,
    max_patches: int | None = None,
    appended_patches: int = 0,
    shards: int = 1,
) -> Iterator[Batch]:
    """Batches that together hold every task once, in order of bucket and length.

    Args:
        tasks: Histories already cut to the context length.
        groups: Tasks that see each other, by index.
        patch_size: Time steps a patch.
        batch_size: The most series (variates, counting those that fill up) in a batch; None: no limit of their number.
        tokens_per_batch: The most positions in a batch. A group is never split, whatever the limits.
        max_patches: Where buckets end: as many as the model's context has. No limit by default.
        appended_patches: Positions that the model adds to each variate, for `tokens_per_batch`.
        shards: Groups are made a multiple of this with empty ones; where a batch is a single group of so many variates,
            the variates are, instead.
    """
    longest = [max(tasks[i].history_VxT.shape[1] for i in group) for group in groups]
    known = max((task.future_KxH.shape[1] for task in tasks if task.future_KxH.size), default=0)
    horizon = num_patches(known, patch_size) * patch_size
    buckets: dict[tuple[int, int], list[Sequence[int]]] = {}
    for g in sorted(range(len(groups)), key=longest.__getitem__):
        variates = sum(tasks[i].history_VxT.shape[0] for i in groups[g])
        patches = half_octave(num_patches(longest[g], patch_size))
        bucket = variate_bucket(variates), min(patches, max_patches or patches)
        buckets.setdefault(bucket, []).append(groups[g])
    for (variates, patches), members in buckets.items():
        most = groups_at_once(tokens_per_batch, variates * (patches + appended_patches))
        if batch_size is not None:
            most = min(most, max(batch_size // variates, 1))
        left = members
        while left:
            size = next_batch_size(len(left), most, shards)
            chosen, left = left[:size], left[size:]
            if len(chosen) == 1 and variates >= shards > 1:
                shape = 1, -(-variates // shards) * shards
            else:
                shape = size, variates
            yield _fill(tasks, chosen, (*shape, patches * patch_size), horizon)


def _fill(tasks: Sequence[Task], groups: Sequence[Sequence[int]], shape: tuple[int, int, int], horizon: int) -> Batch:
    context_GxVxT = np.full(shape, np.nan, np.float32)
    variate_mask_GxV, target_mask_GxV = np.zeros(shape[:2], bool), np.zeros(shape[:2], bool)
    future_GxVxH = np.full((*shape[:2], horizon), np.nan, np.float32)
    places = []
    for g, group in enumerate(groups):
        first = 0
        for index in group:
            history, targets, future, _ = tasks[index]
            variates, steps = history.shape
            context_GxVxT[g, first : first + variates, shape[2] - steps :] = history
            variate_mask_GxV[g, first : first + variates] = True
            target_mask_GxV[g, first : first + targets] = True
            if future.size:
                future_GxVxH[g, first + variates - len(future) : first + variates, : future.shape[1]] = future
            places.append(Place(index, g, first))
            first += variates
    return Batch(places, context_GxVxT, variate_mask_GxV, target_mask_GxV, future_GxVxH if horizon else None)
