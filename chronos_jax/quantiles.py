"""Quantiles at other levels than a model's own (reference: chronos.utils)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def interpolate_quantiles(
    levels: Sequence[float], known_levels: Sequence[float], values: Float[np.ndarray, "*batch q h"]
) -> Float[np.ndarray, "*batch l h"]:
    """Values at other levels, linear between known ones and constant beyond the outermost; exact at known ones.

    Args:
        levels: Wanted, between 0 and 1, in any order.
        known_levels: Levels of `values`, increasing, strictly between 0 and 1.
        values: Quantile forecasts.

    Raises:
        ValueError: Levels that are not numbers between 0 and 1.
    """
    wanted = check_levels(levels)
    known = np.concatenate([[0.0], known_levels, [1.0]])
    lower = np.clip(np.searchsorted(known, wanted, side="right") - 1, 0, len(known) - 2)
    share = ((wanted - known[lower]) / (known[lower + 1] - known[lower])).astype(np.float32)
    last = len(known_levels) - 1
    below, above = values[..., np.clip(lower - 1, 0, last), :], values[..., np.clip(lower, 0, last), :]
    return below + share[:, None] * (above - below)


def check_levels(levels: Sequence[float]) -> Float[np.ndarray, " l"]:
    """Quantile levels, perhaps none, as an array. Raises ValueError where one is no number between 0 and 1."""
    try:
        given = np.asarray(levels if len(levels) else np.empty(0))
        wanted = given.astype(np.float64) if given.dtype.kind in "fiu" and given.ndim == 1 else np.array([np.nan])
    except (TypeError, ValueError):
        wanted = np.array([np.nan])
    if not ((wanted >= 0) & (wanted <= 1)).all():
        raise ValueError(f"quantile levels must be a list of numbers between 0 and 1, found {levels!r}")
    return wanted


def probability_masses(levels: Sequence[float]) -> Float[np.ndarray, " q"]:
    """The share of the distribution for which each of some increasing quantile levels stands; they sum to 1."""
    edges = np.concatenate([[0.0], levels, [1.0]])
    masses = (edges[2:] - edges[:-2]) / 2
    return (masses / masses.sum()).astype(np.float32)


def weighted_quantiles(
    samples: Float[Array, "*batch s"], weights_S: Float[Array, " s"], levels_Q: Float[Array, " q"]
) -> Float[Array, "*batch q"]:
    """Quantiles of weighted samples: their cumulative distribution, linear between samples (reference as above)."""
    rows = samples.reshape(-1, samples.shape[-1])
    order = jnp.argsort(rows, axis=-1)
    cumulative = jnp.cumsum((weights_S / jnp.sum(weights_S))[order], axis=-1)
    ordered = jnp.take_along_axis(rows, order, axis=-1)
    quantiles = jax.vmap(jnp.interp, in_axes=(None, 0, 0))(levels_Q, cumulative, ordered)
    return quantiles.reshape(*samples.shape[:-1], -1)
