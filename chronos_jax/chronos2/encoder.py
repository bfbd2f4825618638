"""The Chronos-2 encoder: blocks of time attention, group attention and feed-forward, stacked and scanned."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, DTypeLike, Float

from chronos_jax.chronos2.config import Chronos2Config
from chronos_jax.layers.attention import MultiHeadAttention
from chronos_jax.layers.feed_forward import FeedForward
from chronos_jax.layers.rotary import Rotary, rotary_angles
from chronos_jax.layers.stacking import stack_blocks


class Attentions(NamedTuple):
    """Attention weights of a block, or of several along a leading axis L, of A heads each; float32.

    A row (the second axis from the end) says how much one query takes from each key; it sums to 1. Keys that do not
    count have weight 0, and so has the whole row where none counts (reference: the average over unrelated series).
    Rows of queries that do not count themselves mean nothing.

    Attributes:
        time: From position to position within a variate (reference: enc_time_self_attn_weights).
        group: From variate to variate at a position (reference: enc_group_self_attn_weights).
    """

    time: Float[Array | np.ndarray, "*layers g v a s s"]
    group: Float[Array | np.ndarray, "*layers g s a v v"]


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
        return self.with_attentions(x_GxVxSxD, mask_GxVxS, rotary)[0]

    def with_attentions(
        self, x_GxVxSxD: Float[Array, "g v s d"], mask_GxVxS: Bool[Array, "g v s"], rotary: Rotary
    ) -> tuple[Float[Array, "g v s d"], Attentions]:
        """The block's output, and the weights of its two attentions."""
        y_GxVxSxD, time = self.time_attention.with_weights(self.time_norm(x_GxVxSxD), mask_GxVxS, rotary)
        x_GxVxSxD = x_GxVxSxD + y_GxVxSxD
        normed_GxVxSxD = self.group_norm(x_GxVxSxD)
        if x_GxVxSxD.shape[1] == 1:
            x_GxVxSxD = x_GxVxSxD + self.group_attention.alone(normed_GxVxSxD, mask_GxVxS)
            group = self.group_attention.weights_alone(mask_GxVxS[:, 0])
        else:
            normed_GxSxVxD, mask_GxSxV = normed_GxVxSxD.swapaxes(1, 2), mask_GxVxS.swapaxes(1, 2)
            y_GxSxVxD, group = self.group_attention.with_weights(normed_GxSxVxD, mask_GxSxV)
            x_GxVxSxD = x_GxVxSxD + y_GxSxVxD.swapaxes(1, 2)
        return x_GxVxSxD + self.mlp(self.mlp_norm(x_GxVxSxD)), Attentions(time, group)


class Encoder(nnx.Module):
    """All blocks and the final norm (reference: chronos.chronos2.model.Chronos2Encoder)."""

    def __init__(self, config: Chronos2Config, *, dtype: DTypeLike, rngs: nnx.Rngs) -> None:
        self.config = config
        self.blocks = stack_blocks(lambda rngs: EncoderBlock(config, dtype=dtype, rngs=rngs), config.num_layers, rngs)
        self.final_norm = _norm(config, dtype=dtype, rngs=rngs)

    def __call__(
        self,
        x_GxVxSxD: Float[Array, "g v s d"],
        mask_GxVxS: Bool[Array, "g v s"],
        layer: int = -1,
        output_attentions: bool = False,
    ) -> tuple[Float[Array, "g v s d"], Attentions | None]:
        """Hidden states after all blocks and the final norm, or, with `layer`, after so many blocks without the norm.

        Args:
            x_GxVxSxD: Embedded positions.
            mask_GxVxS: Positions that count as keys.
            layer: 0 for the input, l for the output of the l-th block, num_layers (or -1) for the normed output;
                negative numbers count from the end. Blocks beyond are not computed.
            output_attentions: Whether to keep the attention weights of the blocks, along a leading axis.

        Returns:
            The hidden states, and the weights or None.
        """
        blocks = blocks_until(layer, self.config.num_layers)
        rotary = rotary_angles(x_GxVxSxD.shape[2], self.config.d_kv, self.config.rope_theta)
        graphdef, stacked = nnx.split(self.blocks)

        def step(x: Array, block_state: nnx.State) -> tuple[Array, Attentions | None]:
            block = nnx.merge(graphdef, block_state)
            if output_attentions:
                return block.with_attentions(x, mask_GxVxS, rotary)
            return block(x, mask_GxVxS, rotary), None

        x_GxVxSxD, attentions = jax.lax.scan(step, x_GxVxSxD, jax.tree.map(lambda leaf: leaf[:blocks], stacked))
        return self.final_norm(x_GxVxSxD) if blocks == self.config.num_layers else x_GxVxSxD, attentions


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
