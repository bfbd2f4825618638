"""The linear maps inside encoder blocks: no bias, products in the type of the parameters."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import DTypeLike


def linear(d_in: int, d_out: int, *, dtype: DTypeLike, rngs: nnx.Rngs) -> nnx.Linear:
    """A map whose result has `dtype` and enters further products."""
    return nnx.Linear(d_in, d_out, use_bias=False, dtype=dtype, param_dtype=dtype, rngs=rngs)


def linear_to_stream(d_in: int, d_out: int, *, dtype: DTypeLike, rngs: nnx.Rngs) -> nnx.Linear:
    """A map whose result is added to the residual stream, and therefore float32 as it leaves the product."""
    return nnx.Linear(
        d_in,
        d_out,
        use_bias=False,
        dtype=dtype,
        param_dtype=dtype,
        preferred_element_type=jnp.float32,
        rngs=rngs,
    )
