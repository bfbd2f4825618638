"""Rotary position embeddings, half-split form (Su et al. 2021; reference: Chronos2RotaryEmbedding)."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class Rotary(NamedTuple):
    """Cosines and sines of the rotation angles, float32: one row a position, one column a pair of dimensions."""

    cos_SxK: Float[Array, "s half"]
    sin_SxK: Float[Array, "s half"]


def rotary_angles(length: int, d_head: int, theta: float) -> Rotary:
    """Angles for positions 0 … length - 1 and heads of an even width `d_head`, computed in float32."""
    inverse_frequencies_K = 1.0 / theta ** (jnp.arange(0, d_head, 2, dtype=jnp.float32) / d_head)
    angles_SxK = jnp.arange(length, dtype=jnp.float32)[:, None] * inverse_frequencies_K[None, :]
    return Rotary(jnp.cos(angles_SxK), jnp.sin(angles_SxK))


def rotate(x: Float[Array, "*batch s h d"], rotary: Rotary) -> Float[Array, "*batch s h d"]:
    """Rotates each head's pairs (i, i + d/2) by the angle of its position; the products are taken in float32."""
    expand = (1,) * (x.ndim - 3)
    cos, sin = (a.reshape(*expand, a.shape[0], 1, a.shape[1]) for a in rotary)
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1).astype(x.dtype)
