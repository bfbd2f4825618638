"""Chronos-2 as a first port to JAX would be written: the yardstick of "plain port" in tables.

Layers one after another, every product an einsum over (group, variate, position), queries, keys and values apart,
everything computed for every position, and all of it in the type of the parameters but norms and softmax. Scaling,
patches and pooling are the library's own, which cost next to nothing.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from chronos_jax.chronos2.config import Chronos2Config
from chronos_jax.chronos2.pooling import pool
from chronos_jax.layers.instance_norm import denormalize, location_and_scale, normalize
from chronos_jax.layers.patching import num_patches, patch_from_right

REG_TOKEN = 1

Parameters = Mapping[str, Any]


def unstacked(params: Parameters, num_layers: int) -> dict[str, Any]:
    """The parameters of a pipeline (`Chronos2Pipeline.params`) with a list of blocks in place of stacked ones.

    Args:
        params: Nested dictionary, the blocks' arrays with the layers as first axis.
        num_layers: How many.
    """
    encoder = dict(params["encoder"])
    blocks = encoder.pop("blocks")
    encoder["blocks"] = [jax.tree.map(lambda leaf, i=i: leaf[i], blocks) for i in range(num_layers)]
    return {**params, "encoder": encoder}


def embed(
    params: Parameters,
    config: Chronos2Config,
    context_GxVxT: Float[Array, "g v t"],
    variate_mask_GxV: Bool[Array, "g v"],
) -> Float[Array, "g d"]:
    """Embeddings as training extracts them, the mean over patches and variates; float32.

    Args:
        params: As `unstacked` gives them.
        config: Sizes of the model.
        context_GxVxT: Histories, NaN where missing.
        variate_mask_GxV: False for variates that only fill up their group.
    """
    hidden_GxVxSxD, mask_GxVxS, *_ = encode(params, config, context_GxVxT, variate_mask_GxV, num_output_patches=1)
    patches = num_patches(context_GxVxT.shape[-1], config.patch_size)
    context_GxVxNxD, mask_GxVxN = hidden_GxVxSxD[:, :, :patches].astype(jnp.float32), mask_GxVxS[:, :, :patches]
    return pool(context_GxVxNxD, mask_GxVxN, variate_mask_GxV, patches, "mean", pool_variates=True)


def forecast(
    params: Parameters,
    config: Chronos2Config,
    context_GxVxT: Float[Array, "g v t"],
    variate_mask_GxV: Bool[Array, "g v"],
    *,
    num_output_patches: int,
) -> Float[Array, "g v q horizon"]:
    """Quantile forecasts of one pass, in the units of the context; arguments as for `embed`."""
    hidden_GxVxSxD, _, loc_GxVx1, scale_GxVx1 = encode(
        params, config, context_GxVxT, variate_mask_GxV, num_output_patches=num_output_patches
    )
    forecast = _residual_block(params["output_patch_embedding"], hidden_GxVxSxD[:, :, -num_output_patches:])
    groups, variates, patches, _ = forecast.shape
    forecast = forecast.reshape(groups, variates, patches, len(config.quantiles), config.patch_size)
    forecast_GxVxQxH = forecast.swapaxes(2, 3).reshape(groups, variates, len(config.quantiles), -1)
    return denormalize(forecast_GxVxQxH, loc_GxVx1[..., None], scale_GxVx1[..., None], use_arcsinh=config.use_arcsinh)


def encode(
    params: Parameters,
    config: Chronos2Config,
    context_GxVxT: Float[Array, "g v t"],
    variate_mask_GxV: Bool[Array, "g v"],
    *,
    num_output_patches: int,
) -> tuple[Float[Array, "g v s d"], Bool[Array, "g v s"], Float[Array, "g v 1"], Float[Array, "g v 1"]]:
    """Hidden states of all positions, which of them count, and location and scale; arguments as for `forecast`."""
    groups, variates, _ = context_GxVxT.shape
    observed_GxVxT = ~jnp.isnan(context_GxVxT) & variate_mask_GxV[..., None]
    loc_GxVx1, scale_GxVx1 = location_and_scale(context_GxVxT, observed_GxVxT)
    values = normalize(context_GxVxT, loc_GxVx1, scale_GxVx1, use_arcsinh=config.use_arcsinh)
    values_GxVxNxP = patch_from_right(jnp.where(observed_GxVxT, values, 0.0), config.patch_size, fill=0.0)
    observed_GxVxNxP = patch_from_right(observed_GxVxT, config.patch_size, fill=False)
    past = values_GxVxNxP.shape[2]
    nothing_GxVxNxP = jnp.zeros((groups, variates, num_output_patches, config.patch_size))
    # The future patches follow the context's: time runs through both, and nothing is known ahead.
    values = jnp.concatenate([values_GxVxNxP, nothing_GxVxNxP], axis=2)
    known = jnp.concatenate([observed_GxVxNxP.astype(jnp.float32), nothing_GxVxNxP], axis=2)
    steps = jnp.arange(-past * config.patch_size, num_output_patches * config.patch_size, dtype=jnp.float32)
    time = (steps / config.time_encoding_scale).reshape(1, 1, -1, config.patch_size)
    features = jnp.concatenate([jnp.broadcast_to(time, values.shape), values, known], axis=-1)

    x_GxVxNxD = _residual_block(params["input_patch_embedding"], features)
    reg_D = params["shared"]["embedding"][REG_TOKEN]
    reg_GxVx1xD = jnp.broadcast_to(reg_D, (groups, variates, 1, config.d_model))
    x = jnp.concatenate([x_GxVxNxD[:, :, :past], reg_GxVx1xD, x_GxVxNxD[:, :, past:]], axis=2)
    seen_GxVxN = observed_GxVxNxP.any(axis=-1)
    always_GxVxN = jnp.broadcast_to(variate_mask_GxV[..., None], (groups, variates, 1 + num_output_patches))
    mask_GxVxS = jnp.concatenate([seen_GxVxN, always_GxVxN], axis=2)

    for block in params["encoder"]["blocks"]:
        x = x + _attention(block["time_attention"], config, _norm(block["time_norm"], config, x), mask_GxVxS, rope=True)
        by_position = _norm(block["group_norm"], config, x).swapaxes(1, 2)
        mixed = _attention(block["group_attention"], config, by_position, mask_GxVxS.swapaxes(1, 2), rope=False)
        x = x + mixed.swapaxes(1, 2)
        y = jnp.einsum("gvsd,df->gvsf", _norm(block["mlp_norm"], config, x), block["mlp"]["wi"]["kernel"])
        x = x + jnp.einsum("gvsf,fd->gvsd", jax.nn.relu(y), block["mlp"]["wo"]["kernel"])
    return _norm(params["encoder"]["final_norm"], config, x), mask_GxVxS, loc_GxVx1, scale_GxVx1


def _residual_block(params: Parameters, x: Float[Array, "g v s d_in"]) -> Float[Array, "g v s d_out"]:
    def linear(name: str, x: Array) -> Array:
        return jnp.einsum("gvsi,io->gvso", x, params[name]["kernel"]) + params[name]["bias"][None, None, None]

    x = x.astype(params["hidden_layer"]["kernel"].dtype)
    return linear("output_layer", jax.nn.relu(linear("hidden_layer", x))) + linear("residual_layer", x)


def _norm(params: Parameters, config: Chronos2Config, x: Float[Array, "g v s d"]) -> Float[Array, "g v s d"]:
    """Root mean square norm, in float32."""
    wide = x.astype(jnp.float32)
    wide = wide * jax.lax.rsqrt(jnp.square(wide).mean(axis=-1, keepdims=True) + config.layer_norm_epsilon)
    return (wide * params["scale"].astype(jnp.float32)[None, None, None]).astype(x.dtype)


def _attention(
    params: Parameters, config: Chronos2Config, x: Float[Array, "a b s d"], keys: Bool[Array, "a b s"], *, rope: bool
) -> Float[Array, "a b s d"]:
    """Attention along the last axis but one, without scaling of the logits; softmax in float32."""

    def heads(name: str) -> Array:
        y = jnp.einsum("absd,di->absi", x, params[name]["kernel"])
        return y.reshape(*x.shape[:3], config.num_heads, config.d_kv)

    q, k, v = heads("q"), heads("k"), heads("v")
    if rope:
        q, k = _rotate(q, config), _rotate(k, config)
    logits = jnp.einsum("abqhd,abkhd->abhqk", q, k).astype(jnp.float32)
    logits = jnp.where(keys[:, :, None, None], logits, jnp.finfo(jnp.float32).min)
    weights = jax.nn.softmax(logits, axis=-1).astype(x.dtype)
    y = jnp.einsum("abhqk,abkhd->abqhd", weights, v).reshape(*x.shape[:3], -1)
    return jnp.einsum("absi,id->absd", y, params["o"]["kernel"])


def _rotate(x: Float[Array, "g v s h d"], config: Chronos2Config) -> Float[Array, "g v s h d"]:
    """Rotary position embedding, as T5-like models in PyTorch have it: x cos + (-second half, first half) sin."""
    frequencies_K = 1.0 / config.rope_theta ** (jnp.arange(0, config.d_kv, 2, dtype=jnp.float32) / config.d_kv)
    angles_SxK = jnp.arange(x.shape[2], dtype=jnp.float32)[:, None] * frequencies_K[None]
    angles = jnp.concatenate([angles_SxK, angles_SxK], axis=-1)[None, None, :, None]
    first, second = jnp.split(x, 2, axis=-1)
    turned = jnp.concatenate([-second, first], axis=-1)
    return x * jnp.cos(angles).astype(x.dtype) + turned * jnp.sin(angles).astype(x.dtype)
