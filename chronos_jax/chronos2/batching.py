"""Ragged user input to batches of few fixed shapes.

Inputs are ordered by length and rounded up to a bucket of patches and of variates, so that a jitted function compiles
once a bucket and never again. Rounding up adds missing values on the left and masked variates, which change nothing but
the last bits of the result. The shape an input is computed in depends on that input alone, except for the number of
groups computed beside it.
"""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from chronos_jax.layers.patching import num_patches


class Batch(NamedTuple):
    """Groups of one bucket.

    Attributes:
        indices: Positions in the user's input of the first groups; rows beyond are empty.
        context_GxVxT: Histories at the right end, NaN elsewhere.
        variate_mask_GxV: True for real variates.
    """

    indices: list[int]
    context_GxVxT: Float[np.ndarray, "g v t"]
    variate_mask_GxV: Bool[np.ndarray, "g v"]


def as_series(inputs: Any) -> list[Float[np.ndarray, "_ _"]]:
    """Every accepted form of input as a list of float32 arrays (variates, time).

    Args:
        inputs: A 3-d array (inputs, variates, time), or a sequence of 1-d (time) and 2-d (variates, time) arrays of any
            lengths; NumPy, JAX or PyTorch arrays, or nested lists of numbers. Nothing is modified.

    Raises:
        ValueError: No input, a wrong number of dimensions, an empty series, or infinite values, naming the input.
        TypeError: Something that is not an array of numbers.
    """
    if hasattr(inputs, "ndim"):
        array = as_float32(inputs, "inputs")
        if array.ndim != 3:
            raise ValueError(
                f"an array of inputs must have 3 dimensions (inputs, variates, time), found shape {array.shape}; "
                "pass a list for series of one input each"
            )
        series = list(array)
    elif isinstance(inputs, Sequence) and not isinstance(inputs, str | bytes):
        series = [_variates_by_time(x, i) for i, x in enumerate(inputs)]
    else:
        raise TypeError(f"inputs must be a 3-d array or a list of 1-d and 2-d arrays, found {type(inputs).__name__}")
    if not series:
        raise ValueError("inputs is empty; give at least one time series")
    for i, x in enumerate(series):
        if not x.size:
            raise ValueError(f"input {i} has shape {x.shape}; every input needs at least one variate and one time step")
        if np.isinf(x).any():
            variate = int(np.isinf(x).any(axis=-1).argmax())
            raise ValueError(
                f"input {i}, variate {variate} holds values that are infinite or beyond float32; NaN means missing"
            )
    return series


def as_float32(array: Any, name: str) -> Float[np.ndarray, "..."]:
    """A NumPy, JAX or PyTorch array, or nested lists of numbers, as float32. Raises TypeError for anything else."""
    if hasattr(array, "detach"):  # PyTorch, recognised without importing it
        array = array.detach().cpu().float().numpy()
    try:
        converted = np.asarray(array)
        if converted.dtype.kind in "OSUMmc":
            raise TypeError(f"its type is {converted.dtype}")
        return converted.astype(np.float32, copy=False)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be an array of numbers, NaN where missing: {error}") from error


def _variates_by_time(x: Any, index: int) -> Float[np.ndarray, "v t"]:
    if isinstance(x, dict):
        raise TypeError(f"input {index} is a dictionary; embed takes 1-d and 2-d arrays")
    array = as_float32(x, f"input {index}")
    if array.ndim not in (1, 2):
        raise ValueError(f"input {index} must be 1-d (time) or 2-d (variates, time), found shape {array.shape}")
    return array[None, :] if array.ndim == 1 else array


def warn_if_all_missing(series: list[Float[np.ndarray, "_ _"]]) -> None:
    """Warns of inputs in which nothing is observed: what the model says of them means nothing."""
    empty = [i for i, x in enumerate(series) if np.isnan(x).all()]
    if empty:
        shown = ", ".join(map(str, empty[:10])) + (", …" if len(empty) > 10 else "")
        warnings.warn(f"nothing is observed in {len(empty)} of {len(series)} inputs ({shown})", stacklevel=3)


def half_octave(n: int) -> int:
    """The smallest of 1, 2, 3, 4, 6, 8, 12, 16, 24, … that is at least n."""
    power = 1 << max(n - 1, 0).bit_length()
    return power * 3 // 4 if power >= 4 and n <= power * 3 // 4 else power


def variate_bucket(n: int) -> int:
    """Variates are few and their cost is plain, so up to 8 they are exact, beyond that half octaves."""
    return n if n <= 8 else half_octave(n)


def batches(
    series: list[Float[np.ndarray, "_ _"]],
    patch_size: int,
    batch_size: int,
    tokens_per_batch: int | None = None,
    shards: int = 1,
) -> Iterator[Batch]:
    """Batches that together hold every input once, in order of bucket and length.

    Args:
        series: Histories, already cut to the context length.
        patch_size: Time steps a patch.
        batch_size: The most series (variates, counting those that fill up) in a batch; one input is never split.
        tokens_per_batch: The most patches in a batch; no limit by default.
        shards: The number of groups is made a multiple of this, with empty groups where need be.
    """
    buckets: dict[tuple[int, int], list[int]] = {}
    for index in sorted(range(len(series)), key=lambda i: series[i].shape[-1]):
        variates, length = series[index].shape
        bucket = variate_bucket(variates), half_octave(num_patches(length, patch_size))
        buckets.setdefault(bucket, []).append(index)
    for (variates, patches), indices in buckets.items():
        most = max(batch_size // variates, 1)
        if tokens_per_batch is not None:
            most = min(most, max(tokens_per_batch // (variates * patches), 1))
        for start in range(0, len(indices), most):
            chosen = indices[start : start + most]
            groups = -(-min(half_octave(len(chosen)), most) // shards) * shards
            yield _fill(series, chosen, groups, variates, patches * patch_size)


def _fill(series: list[np.ndarray], indices: list[int], groups: int, variates: int, length: int) -> Batch:
    context_GxVxT = np.full((groups, variates, length), np.nan, np.float32)
    mask_GxV = np.zeros((groups, variates), bool)
    for row, index in enumerate(indices):
        x = series[index]
        context_GxVxT[row, : x.shape[0], length - x.shape[1] :] = x
        mask_GxV[row, : x.shape[0]] = True
    return Batch(indices, context_GxVxT, mask_GxV)
