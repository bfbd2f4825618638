"""One vector for a text, from the hidden states of its tokens."""

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

Pooling = Literal["mean", "cls", "max"]

SMALLEST_NORM = 1e-12
"""Norms are never taken to be less (as torch.nn.functional.normalize has it)."""


def pool(hidden_BxSxD: Float[Array, "b s d"], lengths_B: Int[Array, " b"], pooling: Pooling) -> Float[Array, "b d"]:
    """Pools hidden states (reference: sentence_transformers' Pooling).

    "mean" and "max" go over a text's tokens, special ones included; "cls" is the state of the first.
    """
    if pooling == "cls":
        return hidden_BxSxD[:, 0]
    inside_BxSx1 = (jnp.arange(hidden_BxSxD.shape[1])[None] < lengths_B[:, None])[..., None]
    if pooling == "max":
        return jnp.max(jnp.where(inside_BxSx1, hidden_BxSxD, -jnp.inf), axis=1)
    return jnp.sum(jnp.where(inside_BxSx1, hidden_BxSxD, 0.0), axis=1) / lengths_B[:, None].astype(jnp.float32)


def unit(x: Float[Array, "b d"]) -> Float[Array, "b d"]:
    """Each row over its Euclidean norm."""
    return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), SMALLEST_NORM)
