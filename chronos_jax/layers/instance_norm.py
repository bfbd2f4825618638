"""Instance normalisation of series, in float32 (reference: chronos.chronos_bolt.InstanceNorm)."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

CONSTANT_SCALE = 1e-5
"""Scale of a series whose observed values are all equal."""


def location_and_scale(
    x: Float[Array, "*series t"], observed: Bool[Array, "*series t"]
) -> tuple[Float[Array, "*series 1"], Float[Array, "*series 1"]]:
    """Mean and population standard deviation of the observed values, in float32.

    A series with nothing observed has location 0 and scale 1; a constant one has scale 1e-5. The mean is refined by the
    mean of the deviations from it, so that a constant series deviates by exactly zero; see CONTRIBUTING.md. Values
    where `observed` is false are never read, NaN included.
    """
    x = jnp.where(observed, x.astype(jnp.float32), 0.0)
    count = jnp.maximum(jnp.sum(observed, axis=-1, keepdims=True), 1).astype(jnp.float32)
    mean = jnp.sum(x, axis=-1, keepdims=True) / count
    loc = mean + jnp.sum(jnp.where(observed, x - mean, 0.0), axis=-1, keepdims=True) / count
    variance = jnp.sum(jnp.square(jnp.where(observed, x - loc, 0.0)), axis=-1, keepdims=True) / count
    spread = variance > 0
    # The inner where keeps the gradient of the square root finite where the variance is zero.
    scale = jnp.where(spread, jnp.sqrt(jnp.where(spread, variance, 1.0)), CONSTANT_SCALE)
    return loc, jnp.where(jnp.any(observed, axis=-1, keepdims=True), scale, 1.0)


def normalize(
    x: Float[Array, "*#series t"],
    loc: Float[Array, "*#series 1"],
    scale: Float[Array, "*#series 1"],
    *,
    use_arcsinh: bool,
) -> Float[Array, "*#series t"]:
    """`(x - loc) / scale`, then arcsinh where the model uses it, in float32."""
    scaled = (x.astype(jnp.float32) - loc) / scale
    return jnp.arcsinh(scaled) if use_arcsinh else scaled


def denormalize(
    x: Float[Array, "*#series t"],
    loc: Float[Array, "*#series 1"],
    scale: Float[Array, "*#series 1"],
    *,
    use_arcsinh: bool,
) -> Float[Array, "*#series t"]:
    """The inverse of `normalize`, in float32."""
    x = x.astype(jnp.float32)
    return (jnp.sinh(x) if use_arcsinh else x) * scale + loc
