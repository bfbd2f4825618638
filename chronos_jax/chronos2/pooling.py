"""One vector for a whole input, from the hidden states of its variates and patches."""

from typing import Literal, get_args

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

Pooling = Literal["mean", "max", "reg", "last"]


def check_pooling(pooling: str | None, use_reg_token: bool) -> None:
    """Raises ValueError for a pooling that does not exist or that this model cannot give."""
    if pooling is not None and pooling not in get_args(Pooling):
        raise ValueError(f"pooling must be one of {', '.join(get_args(Pooling))} or None, found {pooling!r}")
    if pooling == "reg" and not use_reg_token:
        raise ValueError("this model has no REG token (use_reg_token is false); use mean, max or last pooling")


def pooled_positions(pooling: Pooling, num_context_patches: int) -> slice:
    """Which positions a pooling reads: the context patches, or the REG token after them."""
    return slice(num_context_patches, num_context_patches + 1) if pooling == "reg" else slice(num_context_patches)


def pool(
    hidden_GxVxRxD: Float[Array, "g v r d"],
    mask_GxVxS: Bool[Array, "g v s"],
    target_mask_GxV: Bool[Array, "g v"],
    num_context_patches: int,
    pooling: Pooling,
    pool_variates: bool,
) -> Float[Array, "g *v d"]:
    """Pools the hidden states at `pooled_positions`, then, with `pool_variates`, variates; padding is never pooled.

    Over positions: "mean" and "max" take the context patches in which something is observed, "last" the last of them,
    "reg" the REG token. Over variates: the maximum for "max", else the mean, of targets with anything observed, so that
    every target weighs the same. A variate, or an input, with nothing observed is zero.
    """
    seen_GxVxN = mask_GxVxS[..., :num_context_patches]
    seen_GxV = jnp.any(seen_GxVxN, axis=-1) & target_mask_GxV
    if pooling == "mean":
        pooled = _mean(hidden_GxVxRxD, seen_GxVxN)
    elif pooling == "max":
        pooled = _max(hidden_GxVxRxD, seen_GxVxN)
    elif pooling == "last":
        last_GxV = num_context_patches - 1 - jnp.argmax(seen_GxVxN[..., ::-1], axis=-1)
        pooled = jnp.take_along_axis(hidden_GxVxRxD, last_GxV[..., None, None], axis=2)[:, :, 0]
    else:
        pooled = hidden_GxVxRxD[:, :, 0]
    if not pool_variates:
        return jnp.where(seen_GxV[..., None], pooled, 0.0)
    return _max(pooled, seen_GxV) if pooling == "max" else _mean(pooled, seen_GxV)


def _mean(x: Float[Array, "*g n d"], counts: Bool[Array, "*g n"]) -> Float[Array, "*g d"]:
    total = jnp.sum(jnp.where(counts[..., None], x, 0.0), axis=-2)
    return total / jnp.maximum(jnp.sum(counts, axis=-1), 1).astype(jnp.float32)[..., None]


def _max(x: Float[Array, "*g n d"], counts: Bool[Array, "*g n"]) -> Float[Array, "*g d"]:
    most = jnp.max(jnp.where(counts[..., None], x, -jnp.inf), axis=-2)
    return jnp.where(jnp.any(counts, axis=-1)[..., None], most, 0.0)
