"""Multi-head self-attention as in T5: no biases, no 1/sqrt(d) scaling; softmax in float32."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, DTypeLike, Float

from chronos_jax.layers.linear import linear, linear_to_stream
from chronos_jax.layers.rotary import Rotary, rotate

EVERYWHERE = slice(None)

FEW_KEYS = 8
"""Up to so many keys, logits and sums are plain arithmetic: as products of matrices they would mostly be padding."""


def masked_softmax(
    logits: Float[Array, "*shape"], keys: Bool[Array, "*#shape"], axis: int = -1
) -> Float[Array, "*shape"]:
    """Softmax in float32 along an axis, over the keys that count; zero where none does."""
    logits = logits.astype(jnp.float32)
    weights = jax.nn.softmax(jnp.where(keys, logits, jnp.finfo(jnp.float32).min), axis=axis)
    return jnp.where(keys, weights, 0.0)


class MultiHeadAttention(nnx.Module):
    """Self-attention over the second-to-last axis (reference: chronos.chronos2.layers.MHA).

    The products run in `dtype`; the result is float32.
    """

    def __init__(self, d_model: int, num_heads: int, d_head: int, *, dtype: DTypeLike, rngs: nnx.Rngs) -> None:
        inner = num_heads * d_head
        self.num_heads = num_heads
        self.q, self.k, self.v = (linear(d_model, inner, dtype=dtype, rngs=rngs) for _ in range(3))
        self.o = linear_to_stream(inner, d_model, dtype=dtype, rngs=rngs)

    def __call__(
        self, x: Float[Array, "*batch s d"], keys: Bool[Array, "*batch s"], rotary: Rotary | None = None
    ) -> Float[Array, "*batch s d"]:
        """Attends from every position to those where `keys` holds; zero where none does."""
        return self.with_weights(x, keys, rotary)[0]

    def with_weights(
        self,
        x: Float[Array, "*batch s d"],
        keys: Bool[Array, "*batch s"],
        rotary: Rotary | None = None,
        queries: slice = EVERYWHERE,
    ) -> tuple[Float[Array, "*batch q d"], Float[Array, "*batch h q s"]]:
        """What `__call__` gives at the positions `queries`, and each head's weights: a row for each, in float32."""
        asking = x[..., queries, :]
        q, k, v = (
            projection(rows).reshape(*rows.shape[:-1], self.num_heads, -1)
            for projection, rows in ((self.q, asking), (self.k, x), (self.v, x))
        )
        if rotary is not None:
            q, k = rotate(q, Rotary(*(angles[queries] for angles in rotary))), rotate(k, rotary)
        attend = _by_arithmetic if x.shape[-2] <= FEW_KEYS else _by_products
        y, weights = attend(q, k, v, keys)
        return self.o(y.reshape(*asking.shape[:-1], -1)), weights

    def alone(self, x: Float[Array, "*batch s d"], keys: Bool[Array, "*batch s"]) -> Float[Array, "*batch s d"]:
        """What `__call__` gives when every position attends to itself alone: its weight is then exactly 1."""
        return jnp.where(keys[..., None], self.o(self.v(x)), 0.0)

    def weights_alone(self, keys: Bool[Array, "*batch s"]) -> Float[Array, "*batch s h 1 1"]:
        """The weights that go with `alone`: 1 where the position counts, 0 elsewhere."""
        weights = keys.astype(jnp.float32)[..., None, None, None]
        return jnp.broadcast_to(weights, (*keys.shape, self.num_heads, 1, 1))


def _by_products(
    q: Float[Array, "*batch q h d"],
    k: Float[Array, "*batch k h d"],
    v: Float[Array, "*batch k h d"],
    keys: Bool[Array, "*batch k"],
) -> tuple[Float[Array, "*batch q h d"], Float[Array, "*batch h q k"]]:
    logits = jnp.einsum("...qhd,...khd->...hqk", q, k, preferred_element_type=jnp.float32)
    weights = masked_softmax(logits, keys[..., None, None, :])
    return jnp.einsum("...hqk,...khd->...qhd", weights.astype(v.dtype), v), weights


def _by_arithmetic(
    q: Float[Array, "*batch q h d"],
    k: Float[Array, "*batch k h d"],
    v: Float[Array, "*batch k h d"],
    keys: Bool[Array, "*batch k"],
) -> tuple[Float[Array, "*batch q h d"], Float[Array, "*batch h q k"]]:
    pairs = q.astype(jnp.float32)[..., :, None, :, :] * k.astype(jnp.float32)[..., None, :, :, :]
    weights_QxKxH = masked_softmax(jnp.sum(pairs, axis=-1), keys[..., None, :, None], axis=-2)
    y = jnp.sum(weights_QxKxH[..., None] * v.astype(jnp.float32)[..., None, :, :, :], axis=-3)
    return y.astype(v.dtype), jnp.moveaxis(weights_QxKxH, -1, -3)
