"""Position-wise networks with ReLU."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, DTypeLike, Float

from chronos_jax.layers.linear import linear, linear_to_stream


class FeedForward(nnx.Module):
    """`wo(relu(wi(x)))` without biases (reference: chronos.chronos2.layers.MLP).

    The products run in `dtype`; the result is float32.
    """

    def __init__(self, d_model: int, d_ff: int, *, dtype: DTypeLike, rngs: nnx.Rngs) -> None:
        self.wi = linear(d_model, d_ff, dtype=dtype, rngs=rngs)
        self.wo = linear_to_stream(d_ff, d_model, dtype=dtype, rngs=rngs)

    def __call__(self, x: Float[Array, "*batch d"]) -> Float[Array, "*batch d"]:
        return self.wo(jax.nn.relu(self.wi(x)))


class ResidualBlock(nnx.Module):
    """`output(relu(hidden(x))) + residual(x)`, with biases (reference: chronos.chronos2.layers.ResidualBlock).

    Inputs and outputs are float32 whatever the parameters are: what goes in holds time and level, what comes out holds
    the level of a forecast, and bfloat16 keeps three digits of either. The wide product in between runs in `dtype`.
    """

    def __init__(self, d_in: int, d_hidden: int, d_out: int, *, dtype: DTypeLike, rngs: nnx.Rngs) -> None:
        self.hidden_layer = nnx.Linear(d_in, d_hidden, dtype=jnp.float32, param_dtype=dtype, rngs=rngs)
        self.output_layer = nnx.Linear(
            d_hidden, d_out, dtype=dtype, param_dtype=dtype, preferred_element_type=jnp.float32, rngs=rngs
        )
        self.residual_layer = nnx.Linear(d_in, d_out, dtype=jnp.float32, param_dtype=dtype, rngs=rngs)

    def __call__(self, x: Float[Array, "*batch d_in"]) -> Float[Array, "*batch d_out"]:
        hidden = jax.nn.relu(self.hidden_layer(x))
        return self.output_layer(hidden) + self.residual_layer(x)
