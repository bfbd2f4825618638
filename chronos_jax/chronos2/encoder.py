"""The Chronos-2 encoder: blocks of time attention, group attention and feed-forward, stacked and scanned."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, DTypeLike, Float

from chronos_jax.chronos2.config import Chronos2Config
from chronos_jax.layers.attention import MultiHeadAttention
from chronos_jax.layers.feed_forward import FeedForward
from chronos_jax.layers.rotary import Rotary, rotary_angles


class EncoderBlock(nnx.Module):
    """One pre-norm block (reference: chronos.chronos2.model.Chronos2EncoderBlock).

    The stream from block to block is float32, also where the products are bfloat16; see CONTRIBUTING.md.
    """

    def __init__(self, config: Chronos2Config, *, dtype: DTypeLike, rngs: nnx.Rngs) -> None:
        def attention() -> MultiHeadAttention:
            return MultiHeadAttention(config.d_model, config.num_heads, config.d_kv, dtype=dtype, rngs=rngs)

        self.time_norm, self.group_norm, self.mlp_norm = (_norm(config, dtype=dtype, rngs=rngs) for _ in range(3))
        self.time_attention = attention()
        self.group_attention = attention()
        self.mlp = FeedForward(config.d_model, config.d_ff, dtype=dtype, rngs=rngs)

    def __call__(
        self, x_GxVxSxD: Float[Array, "g v s d"], mask_GxVxS: Bool[Array, "g v s"], rotary: Rotary
    ) -> Float[Array, "g v s d"]:
        x_GxVxSxD = x_GxVxSxD + self.time_attention(self.time_norm(x_GxVxSxD), mask_GxVxS, rotary)
        normed_GxVxSxD = self.group_norm(x_GxVxSxD)
        if x_GxVxSxD.shape[1] == 1:
            x_GxVxSxD = x_GxVxSxD + self.group_attention.alone(normed_GxVxSxD, mask_GxVxS)
        else:
            normed_GxSxVxD, mask_GxSxV = normed_GxVxSxD.swapaxes(1, 2), mask_GxVxS.swapaxes(1, 2)
            x_GxVxSxD = x_GxVxSxD + self.group_attention(normed_GxSxVxD, mask_GxSxV).swapaxes(1, 2)
        return x_GxVxSxD + self.mlp(self.mlp_norm(x_GxVxSxD))


class Encoder(nnx.Module):
    """All blocks and the final norm (reference: chronos.chronos2.model.Chronos2Encoder)."""

    def __init__(self, config: Chronos2Config, *, dtype: DTypeLike, rngs: nnx.Rngs) -> None:
        @nnx.split_rngs(splits=config.num_layers)
        @nnx.vmap
        def stacked(rngs: nnx.Rngs) -> EncoderBlock:
            return EncoderBlock(config, dtype=dtype, rngs=rngs)

        self.config = config
        self.blocks = stacked(rngs)
        self.final_norm = _norm(config, dtype=dtype, rngs=rngs)

    def __call__(
        self, x_GxVxSxD: Float[Array, "g v s d"], mask_GxVxS: Bool[Array, "g v s"], layer: int = -1
    ) -> Float[Array, "g v s d"]:
        """Hidden states after all blocks and the final norm, or, with `layer`, after so many blocks without the norm.

        Args:
            x_GxVxSxD: Embedded positions.
            mask_GxVxS: Positions that count as keys.
            layer: 0 for the input, l for the output of the l-th block, num_layers (or -1) for the normed output;
                negative numbers count from the end. Blocks beyond are not computed.
        """
        blocks = blocks_until(layer, self.config.num_layers)
        rotary = rotary_angles(x_GxVxSxD.shape[2], self.config.d_kv, self.config.rope_theta)
        graphdef, stacked = nnx.split(self.blocks)

        def step(x: Array, block_state: nnx.State) -> tuple[Array, None]:
            return nnx.merge(graphdef, block_state)(x, mask_GxVxS, rotary), None

        x_GxVxSxD, _ = jax.lax.scan(step, x_GxVxSxD, jax.tree.map(lambda leaf: leaf[:blocks], stacked))
        return self.final_norm(x_GxVxSxD) if blocks == self.config.num_layers else x_GxVxSxD


def blocks_until(layer: int, num_layers: int) -> int:
    """Number of blocks whose output `layer` names. Raises ValueError when there is no such layer."""
    if not -(num_layers + 1) <= layer <= num_layers:
        raise ValueError(
            f"layer must lie between {-(num_layers + 1)} and {num_layers} for an encoder of {num_layers} blocks, "
            f"found {layer}"
        )
    return layer % (num_layers + 1)


def _norm(config: Chronos2Config, *, dtype: DTypeLike, rngs: nnx.Rngs) -> nnx.RMSNorm:
    """A norm in float32, as the stream that it reads; what follows rounds to its own type."""
    return nnx.RMSNorm(
        config.d_model,
        epsilon=config.layer_norm_epsilon,
        dtype=jnp.float32,
        param_dtype=dtype,
        use_fast_variance=False,
        rngs=rngs,
    )
