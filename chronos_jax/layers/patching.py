"""Cutting series into patches (reference: chronos.chronos_bolt.Patch)."""

import jax.numpy as jnp
from jaxtyping import Array, Shaped


def num_patches(length: int, patch_size: int) -> int:
    """Patches that `length` time steps fill, the first of them perhaps in part."""
    return -(-length // patch_size)


def patch_from_right(
    x: Shaped[Array, "*series t"], patch_size: int, fill: float | bool
) -> Shaped[Array, "*series n p"]:
    """Pads on the left with `fill` to a whole number of patches and cuts; the last patch ends at the last step."""
    return _cut(x, patch_size, fill, left=True)


def patch_from_left(x: Shaped[Array, "*series t"], patch_size: int, fill: float | bool) -> Shaped[Array, "*series n p"]:
    """Pads on the right with `fill` to a whole number of patches and cuts; the first patch begins at the first step."""
    return _cut(x, patch_size, fill, left=False)


def _cut(
    x: Shaped[Array, "*series t"], patch_size: int, fill: float | bool, left: bool
) -> Shaped[Array, "*series n p"]:
    *series, length = x.shape
    missing = num_patches(length, patch_size) * patch_size - length
    widths = [(0, 0)] * len(series) + [(missing, 0) if left else (0, missing)]
    return jnp.pad(x, widths, constant_values=fill).reshape(*series, -1, patch_size)
