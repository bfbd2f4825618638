"""The Chronos-2 encoder: blocks of time attention, group attention and feed-forward, one after the other."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, DTypeLike, Float

from chronos_jax.chronos2.arrangement import Arrangement, Blocks, Dense
from chronos_jax.chronos2.config import Chronos2Config
from chronos_jax.layers.attention import EVERYWHERE, MultiHeadAttention
from chronos_jax.layers.feed_forward import FeedForward
from chronos_jax.layers.rotary import rotary_angles
from chronos_jax.layers.stacking import apply_blocks, block_at, stack_blocks
from chronos_jax.layers.tpu_attention import TpuAttention


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

    def __call__(self, x: Array, arrangement: Arrangement) -> tuple[Array, Attentions | None]:
        """The output at the positions that are read, and the weights of both attentions where they are at hand."""
        x, time = arrangement.time(self.time_norm, self.time_attention, x)
        x, group = arrangement.group(self.group_norm, self.group_attention, x)
        attentions = None if time is None or group is None else Attentions(time, group)
        return x + self.mlp(self.mlp_norm(x)), attentions


class Encoder(nnx.Module):
    """All blocks and the final norm (reference: chronos.chronos2.model.Chronos2Encoder)."""

    def __init__(
        self,
        config: Chronos2Config,
        *,
        dtype: DTypeLike,
        rngs: nnx.Rngs,
        kernel: TpuAttention | None = None,
    ) -> None:
        self.config = config
        self.kernel = kernel
        self._dtype = jnp.dtype(dtype)

        def make(rngs: nnx.Rngs) -> EncoderBlock:
            return EncoderBlock(config, dtype=dtype, rngs=rngs)

        self.blocks: EncoderBlock | nnx.List[EncoderBlock] = stack_blocks(make, config.num_layers, rngs)
        self.final_norm = _norm(config, dtype=dtype, rngs=rngs)

    def __call__(
        self,
        x_GxVxSxD: Float[Array, "g v s d"],
        mask_GxVxS: Bool[Array, "g v s"],
        *,
        layer: int = -1,
        positions: slice = EVERYWHERE,
        output_attentions: bool = False,
    ) -> tuple[Float[Array, "g v r d"], Attentions | None]:
        """Hidden states after all blocks and the final norm, or, with `layer`, after so many blocks without the norm.

        Args:
            x_GxVxSxD: Embedded positions.
            mask_GxVxS: Positions that count as keys.
            layer: 0 for the input, l for the output of the l-th block, num_layers (or -1) for the normed output;
                negative numbers count from the end. Blocks beyond are not computed.
            positions: Of which the hidden states are returned: the last block then computes no others.
            output_attentions: Whether to keep the attention weights of the blocks, along a leading axis.

        Returns:
            The hidden states, and the weights or None.
        """
        number = blocks_until(layer, self.config.num_layers)
        rotary = rotary_angles(x_GxVxSxD.shape[2], self.config.d_kv, self.config.rope_theta)
        blocks = None
        if self.kernel is not None and not output_attentions:
            blocks = Blocks.of(self.kernel, self.config, self._dtype, mask_GxVxS, rotary)
        arrangement = blocks or Dense(mask_GxVxS, rotary)

        def apply(block: EncoderBlock, x: Array) -> tuple[Array, Attentions | None]:
            x, weights = block(x, arrangement)
            return x, weights if output_attentions else None

        x = blocks.pack(x_GxVxSxD) if blocks else x_GxVxSxD
        attentions = None
        whole = number if positions == EVERYWHERE or output_attentions else max(number - 1, 0)
        if whole or output_attentions:
            x, attentions = apply_blocks(self.blocks, whole, apply, x, in_place=blocks is not None)
        if whole < number:
            x, _ = block_at(self.blocks, whole)(x, arrangement.reading(positions))
        else:
            x = arrangement.reading(positions).read(x)
        x = blocks.unpack(x) if blocks else x
        return self.final_norm(x) if number == self.config.num_layers else x, attentions


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
