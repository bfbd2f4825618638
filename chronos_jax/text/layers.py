"""What all text towers are made of: attention and networks with biases, norms, one block after the other.

The stream from block to block is float32, also where the products are bfloat16; see CONTRIBUTING.md.
"""

from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, DTypeLike, Float, Int

from chronos_jax.layers.stacking import apply_blocks
from chronos_jax.text.config import Activation, TowerConfig

ACTIVATIONS: Mapping[Activation, Callable[[Array], Array]] = {
    "gelu": partial(jax.nn.gelu, approximate=False),
    "gelu_new": partial(jax.nn.gelu, approximate=True),
    "gelu_pytorch_tanh": partial(jax.nn.gelu, approximate=True),
    "quick_gelu": lambda x: x * jax.nn.sigmoid(1.702 * x),
    "relu": jax.nn.relu,
}


class SelfAttention(nnx.Module):
    """Attention with biases and logits over the root of a head's width (reference: transformers' BertSelfAttention).

    The products run in `dtype`, the softmax in float32; the result is float32.
    """

    def __init__(self, config: TowerConfig, *, causal: bool, dtype: DTypeLike, rngs: nnx.Rngs) -> None:
        width = config.hidden_size
        self.num_heads = config.num_attention_heads
        self.causal = causal
        self.q, self.k, self.v = (nnx.Linear(width, width, dtype=dtype, param_dtype=dtype, rngs=rngs) for _ in range(3))
        self.o = _linear_to_stream(width, width, dtype=dtype, rngs=rngs)

    def __call__(self, x_BxSxD: Float[Array, "b s d"], lengths_B: Int[Array, " b"]) -> Float[Array, "b s d"]:
        """Attends from every position to the first `lengths_B`, or, if causal, to those of them not behind it."""
        heads = (*x_BxSxD.shape[:2], self.num_heads, -1)
        q, k, v = (projection(x_BxSxD).reshape(heads) for projection in (self.q, self.k, self.v))
        y = jax.nn.dot_product_attention(q, k, v, is_causal=self.causal, key_value_seq_lengths=lengths_B)
        return self.o(y.reshape(x_BxSxD.shape))


class Mlp(nnx.Module):
    """`output(activation(hidden(x)))` with biases; the products run in `dtype`, the result is float32."""

    def __init__(self, config: TowerConfig, *, dtype: DTypeLike, rngs: nnx.Rngs) -> None:
        width, inner = config.hidden_size, config.intermediate_size
        self.activation = config.hidden_act
        self.hidden = _linear_to_stream(width, inner, dtype=dtype, rngs=rngs)
        self.output = _linear_to_stream(inner, width, dtype=dtype, rngs=rngs)

    def __call__(self, x: Float[Array, "*batch d"]) -> Float[Array, "*batch d"]:
        return self.output(ACTIVATIONS[self.activation](self.hidden(x)))


def layer_norm(config: TowerConfig, *, dtype: DTypeLike, rngs: nnx.Rngs) -> nnx.LayerNorm:
    """A norm in float32, as the stream that it reads; what follows rounds to its own type."""
    return nnx.LayerNorm(
        config.hidden_size,
        epsilon=config.layer_norm_eps,
        dtype=jnp.float32,
        param_dtype=dtype,
        use_fast_variance=False,
        rngs=rngs,
    )


def run_blocks(
    blocks: nnx.Module, number: int, x_BxSxD: Float[Array, "b s d"], lengths_B: Int[Array, " b"]
) -> Float[Array, "b s d"]:
    """Applies so many blocks one after the other."""
    return apply_blocks(blocks, number, lambda block, x: (block(x, lengths_B), None), x_BxSxD)[0]


def _linear_to_stream(d_in: int, d_out: int, *, dtype: DTypeLike, rngs: nnx.Rngs) -> nnx.Linear:
    """A map whose result is float32 as it leaves the product."""
    return nnx.Linear(d_in, d_out, dtype=dtype, param_dtype=dtype, preferred_element_type=jnp.float32, rngs=rngs)
