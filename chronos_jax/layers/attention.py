"""Multi-head self-attention as in T5: no biases, no 1/sqrt(d) scaling; softmax in float32."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, DTypeLike, Float

from chronos_jax.layers.linear import linear, linear_to_stream
from chronos_jax.layers.rotary import Rotary, rotate


def masked_softmax(
    logits: Float[Array, "*batch h q k"], keys: Bool[Array, "*batch 1 1 k"]
) -> Float[Array, "*batch h q k"]:
    """Softmax in float32 over the keys that count; a row in which none counts is zero."""
    logits = logits.astype(jnp.float32)
    weights = jax.nn.softmax(jnp.where(keys, logits, jnp.finfo(jnp.float32).min), axis=-1)
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
        self, x: Float[Array, "*batch s d"], keys: Bool[Array, "*batch s"], rotary: Rotary | None = None
    ) -> tuple[Float[Array, "*batch s d"], Float[Array, "*batch h s s"]]:
        """What `__call__` gives, and each head's weights: a row for each query, in float32."""
        heads = (*x.shape[:-1], self.num_heads, -1)
        q, k, v = (projection(x).reshape(heads) for projection in (self.q, self.k, self.v))
        if rotary is not None:
            q, k = rotate(q, rotary), rotate(k, rotary)
        logits = jnp.einsum("...qhd,...khd->...hqk", q, k, preferred_element_type=jnp.float32)
        weights = masked_softmax(logits, keys[..., None, None, :])
        y = jnp.einsum("...hqk,...khd->...qhd", weights.astype(v.dtype), v)
        return self.o(y.reshape(*x.shape[:-1], -1)), weights

    def alone(self, x: Float[Array, "*batch s d"], keys: Bool[Array, "*batch s"]) -> Float[Array, "*batch s d"]:
        """What `__call__` gives when every position attends to itself alone: its weight is then exactly 1."""
        return jnp.where(keys[..., None], self.o(self.v(x)), 0.0)

    def weights_alone(self, keys: Bool[Array, "*batch s"]) -> Float[Array, "*batch s h 1 1"]:
        """The weights that go with `alone`: 1 where the position counts, 0 elsewhere."""
        weights = keys.astype(jnp.float32)[..., None, None, None]
        return jnp.broadcast_to(weights, (*keys.shape, self.num_heads, 1, 1))
