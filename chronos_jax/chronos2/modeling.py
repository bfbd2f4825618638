"""The Chronos-2 model on dense groups: normalise, patch, embed, encode, read the forecast."""

import math
from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, DTypeLike, Float, Int

from chronos_jax.chronos2.config import Chronos2Config
from chronos_jax.chronos2.encoder import Attentions, Encoder
from chronos_jax.layers.attention import EVERYWHERE
from chronos_jax.layers.feed_forward import ResidualBlock
from chronos_jax.layers.instance_norm import denormalize, location_and_scale, normalize
from chronos_jax.layers.patching import patch_from_left, patch_from_right
from chronos_jax.layers.tpu_attention import TpuAttention

REG_TOKEN = 1


class Encoded(NamedTuple):
    """What the encoder makes of a batch of groups.

    Attributes:
        hidden_GxVxSxD: Hidden states of the positions asked for, by default of all: the context patches, the REG token
            and the future patches, in this order.
        mask_GxVxS: Positions that count: context patches with something observed, REG, future patches asked for;
            none of a variate that only fills up its group. Hidden states elsewhere are finite and mean nothing.
        loc_GxVx1: Mean of each variate's observed values, float32.
        scale_GxVx1: Their population standard deviation, float32.
        attentions: Weights of every block computed, time (L, G, V, A, S, S) and group (L, G, S, A, V, V), where asked.
    """

    hidden_GxVxSxD: Float[Array, "g v r d"]  # r = s unless fewer were asked for
    mask_GxVxS: Bool[Array, "g v s"]
    loc_GxVx1: Float[Array, "g v 1"]
    scale_GxVx1: Float[Array, "g v 1"]
    attentions: Attentions | None = None


class Chronos2Model(nnx.Module):
    """Chronos-2 (reference: chronos.chronos2.model.Chronos2Model), pure under jax.jit, jax.grad and jax.vmap.

    The reference takes B series and group ids; this model takes G groups of V variates, dense. A group never sees
    another, and the cost is linear in G. Ragged groups are filled up and told apart by `variate_mask_GxV`.
    """

    def __init__(
        self,
        config: Chronos2Config,
        *,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
        kernel: TpuAttention | None = None,
    ) -> None:
        """Random parameters; see `chronos_jax.chronos2.pipeline` for pretrained ones.

        Args:
            config: Sizes and settings.
            dtype: Of the parameters and of the wide products.
            rngs: Where random numbers come from.
            kernel: Attention for TPUs, without gradients; by default that of XLA.
        """
        patch, d_model = config.patch_size, config.d_model
        self.config = config
        self.shared = nnx.Embed(config.vocab_size, d_model, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.input_patch_embedding = ResidualBlock(3 * patch, config.d_ff, d_model, dtype=dtype, rngs=rngs)
        self.encoder = Encoder(config, dtype=dtype, rngs=rngs, kernel=kernel)
        forecast = len(config.quantiles) * patch
        self.output_patch_embedding = ResidualBlock(d_model, config.d_ff, forecast, dtype=dtype, rngs=rngs)

    def __call__(
        self,
        context_GxVxT: Float[Array, "g v t"],
        *,
        context_mask_GxVxT: Bool[Array, "g v t"] | None = None,
        variate_mask_GxV: Bool[Array, "g v"] | None = None,
        future_GxVxH: Float[Array, "g v h"] | None = None,
        num_output_patches: int = 1,
        valid_output_patches: Int[Array, ""] | int | None = None,
    ) -> Float[Array, "g v q horizon"]:
        """Quantile forecasts of the next `num_output_patches * patch_size` steps, float32, in the units of the context.

        Arguments as for `encode`. With `valid_output_patches`, steps beyond those patches mean nothing.
        """
        encoded = self.encode(
            context_GxVxT,
            context_mask_GxVxT=context_mask_GxVxT,
            variate_mask_GxV=variate_mask_GxV,
            future_GxVxH=future_GxVxH,
            num_output_patches=num_output_patches,
            valid_output_patches=valid_output_patches,
            positions=slice(-num_output_patches, None),
        )
        groups, variates, patches, _ = encoded.hidden_GxVxSxD.shape
        quantiles, patch = len(self.config.quantiles), self.config.patch_size
        forecast = self.output_patch_embedding(encoded.hidden_GxVxSxD)
        forecast = forecast.reshape(groups, variates, patches, quantiles, patch)
        forecast_GxVxQxH = forecast.swapaxes(2, 3).reshape(groups, variates, quantiles, patches * patch)
        return denormalize(
            forecast_GxVxQxH,
            encoded.loc_GxVx1[..., None],
            encoded.scale_GxVx1[..., None],
            use_arcsinh=self.config.use_arcsinh,
        )

    def encode(
        self,
        context_GxVxT: Float[Array, "g v t"],
        *,
        context_mask_GxVxT: Bool[Array, "g v t"] | None = None,
        variate_mask_GxV: Bool[Array, "g v"] | None = None,
        future_GxVxH: Float[Array, "g v h"] | None = None,
        num_output_patches: int = 1,
        valid_output_patches: Int[Array, ""] | int | None = None,
        layer: int = -1,
        positions: slice = EVERYWHERE,
        output_attentions: bool = False,
    ) -> Encoded:
        """Encodes groups of series; of a context longer than the model's, the last `context_length` steps.

        Args:
            context_GxVxT: Histories, NaN where missing.
            context_mask_GxVxT: True where observed; by default wherever the context is not NaN. Values masked out are
                never read, while the reference still counts them in location and scale.
            variate_mask_GxV: False for variates that only fill up their group; by default all are real.
            future_GxVxH: Values known ahead, in the units of the context, NaN where unknown; H may be any length up to
                the future patches. Normalised with the context's location and scale.
            num_output_patches: Future patches appended to the sequence.
            valid_output_patches: How many of them count, by default all; may be traced. The states of those that count
                are then the same as if no more had been asked for.
            layer: Whose output to return, see `Encoder.__call__`.
            positions: Of which positions to return hidden states; those of others are then not computed to the end.
            output_attentions: Whether to return the attention weights, too. With A heads, a block's take
                A * (S + V) / d_model times the memory of its hidden states.

        Raises:
            ValueError: When shapes do not fit together, the future is longer than the future patches, or there is no
                such layer.
        """
        if context_GxVxT.ndim != 3 or 0 in context_GxVxT.shape:
            raise ValueError(
                f"context must have shape (groups, variates, time), none of them 0, found {tuple(context_GxVxT.shape)}"
            )
        if num_output_patches < 1:
            raise ValueError(f"num_output_patches must be at least 1, found {num_output_patches}")
        groups, variates, length = context_GxVxT.shape
        _check_shape("context mask", context_mask_GxVxT, (groups, variates, length))
        _check_shape("variate mask", variate_mask_GxV, (groups, variates))
        _check_shape("known future", future_GxVxH, (groups, variates, None))
        context_GxVxT = context_GxVxT[..., -self.config.context_length :]
        observed_GxVxT = ~jnp.isnan(context_GxVxT)
        if context_mask_GxVxT is not None:
            observed_GxVxT &= context_mask_GxVxT[..., -self.config.context_length :] > 0
        real_GxV = jnp.ones((groups, variates), bool) if variate_mask_GxV is None else variate_mask_GxV > 0
        observed_GxVxT &= real_GxV[..., None]
        loc_GxVx1, scale_GxVx1 = location_and_scale(context_GxVxT, observed_GxVxT)

        past_GxVxNxP, seen_GxVxN = self._context_patches(context_GxVxT, observed_GxVxT, loc_GxVx1, scale_GxVx1)
        future_GxVxNxP = self._future_patches(future_GxVxH, loc_GxVx1, scale_GxVx1, num_output_patches)
        parts = [self.input_patch_embedding(past_GxVxNxP)]
        masks = [seen_GxVxN]
        if self.config.use_reg_token:
            reg_D = self.shared.embedding[REG_TOKEN].astype(jnp.float32)
            parts.append(jnp.broadcast_to(reg_D, (groups, variates, 1, self.config.d_model)))
            masks.append(real_GxV[..., None])
        parts.append(self.input_patch_embedding(future_GxVxNxP))
        asked_N = jnp.arange(num_output_patches) < (
            num_output_patches if valid_output_patches is None else valid_output_patches
        )
        masks.append(real_GxV[..., None] & asked_N[None, None, :])

        mask_GxVxS = jnp.concatenate(masks, axis=-1)
        embedded_GxVxSxD = jnp.concatenate(parts, axis=2)
        hidden_GxVxSxD, attentions = self.encoder(
            embedded_GxVxSxD, mask_GxVxS, layer=layer, positions=positions, output_attentions=output_attentions
        )
        return Encoded(hidden_GxVxSxD, mask_GxVxS, loc_GxVx1, scale_GxVx1, attentions)

    def _context_patches(
        self,
        context_GxVxT: Float[Array, "g v t"],
        observed_GxVxT: Bool[Array, "g v t"],
        loc_GxVx1: Float[Array, "g v 1"],
        scale_GxVx1: Float[Array, "g v 1"],
    ) -> tuple[Float[Array, "g v n features"], Bool[Array, "g v n"]]:
        """Features of each context patch, float32, and whether anything in it is observed."""
        values = jnp.where(observed_GxVxT, context_GxVxT, loc_GxVx1)
        values = normalize(values, loc_GxVx1, scale_GxVx1, use_arcsinh=self.config.use_arcsinh)
        values = jnp.where(observed_GxVxT, values, 0.0)
        values_GxVxNxP = patch_from_right(values, self.config.patch_size, fill=0.0)
        observed_GxVxNxP = patch_from_right(observed_GxVxT, self.config.patch_size, fill=False)
        length = math.prod(values_GxVxNxP.shape[2:])
        return self._features(-length, values_GxVxNxP, observed_GxVxNxP), jnp.any(observed_GxVxNxP, axis=-1)

    def _future_patches(
        self,
        future_GxVxH: Float[Array, "g v h"] | None,
        loc_GxVx1: Float[Array, "g v 1"],
        scale_GxVx1: Float[Array, "g v 1"],
        num_output_patches: int,
    ) -> Float[Array, "g v n features"]:
        """Features of each future patch, float32: zeros but for time where nothing is known ahead."""
        patch = self.config.patch_size
        horizon = num_output_patches * patch
        groups, variates, _ = loc_GxVx1.shape
        if future_GxVxH is None:
            future_GxVxH = jnp.full((groups, variates, 0), jnp.nan, jnp.float32)
        if future_GxVxH.shape[-1] > horizon:
            raise ValueError(
                f"the known future has {future_GxVxH.shape[-1]} steps, but num_output_patches={num_output_patches} "
                f"patches of {patch} hold {horizon}; ask for at least {-(-future_GxVxH.shape[-1] // patch)} patches"
            )
        known = ~jnp.isnan(future_GxVxH)
        values = jnp.where(known, future_GxVxH, loc_GxVx1)
        values = normalize(values, loc_GxVx1, scale_GxVx1, use_arcsinh=self.config.use_arcsinh)
        values = jnp.where(known, values, 0.0)
        surplus = ((0, 0), (0, 0), (0, horizon - future_GxVxH.shape[-1]))
        values_GxVxNxP = patch_from_left(jnp.pad(values, surplus), patch, fill=0.0)
        known_GxVxNxP = patch_from_left(jnp.pad(known, surplus), patch, fill=False)
        return self._features(0, values_GxVxNxP, known_GxVxNxP)

    def _features(
        self, start: int, values_GxVxNxP: Float[Array, "g v n p"], known_GxVxNxP: Bool[Array, "g v n p"]
    ) -> Float[Array, "g v n features"]:
        """Time encoding (start, start + 1, … over the time scale), values and mask of each patch, side by side."""
        patches, patch = values_GxVxNxP.shape[2:]
        time = jnp.arange(start, start + patches * patch, dtype=jnp.float32) / self.config.time_encoding_scale
        time_GxVxNxP = jnp.broadcast_to(time.reshape(1, 1, patches, patch), values_GxVxNxP.shape)
        return jnp.concatenate([time_GxVxNxP, values_GxVxNxP, known_GxVxNxP.astype(jnp.float32)], axis=-1)


def _check_shape(name: str, array: Array | None, expected: tuple[int | None, ...]) -> None:
    """Raises ValueError where an optional array has another shape; None fits any size."""
    if array is None:
        return
    shape = jnp.shape(array)
    if len(shape) != len(expected) or any(e not in (None, n) for n, e in zip(shape, expected, strict=True)):
        wanted = ", ".join("any" if e is None else str(e) for e in expected)
        raise ValueError(f"the {name} must have shape ({wanted}) to fit the context, found {shape}")
