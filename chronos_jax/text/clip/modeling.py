"""CLIP's text tower on batches of token ids: causal blocks with the norm before each part, read at the text's end."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, DTypeLike, Float, Int

from chronos_jax.layers.stacking import stack_blocks
from chronos_jax.text.clip.config import LEGACY_EOS, ClipTextConfig
from chronos_jax.text.layers import Mlp, SelfAttention, layer_norm, run_blocks


class ClipBlock(nnx.Module):
    """One pre-norm block (reference: transformers.models.clip.modeling_clip.CLIPEncoderLayer)."""

    def __init__(self, config: ClipTextConfig, *, dtype: DTypeLike, rngs: nnx.Rngs) -> None:
        self.attention_norm = layer_norm(config, dtype=dtype, rngs=rngs)
        self.attention = SelfAttention(config, causal=True, dtype=dtype, rngs=rngs)
        self.mlp_norm = layer_norm(config, dtype=dtype, rngs=rngs)
        self.mlp = Mlp(config, dtype=dtype, rngs=rngs)

    def __call__(self, x_BxSxD: Float[Array, "b s d"], lengths_B: Int[Array, " b"]) -> Float[Array, "b s d"]:
        x_BxSxD = x_BxSxD + self.attention(self.attention_norm(x_BxSxD), lengths_B)
        return x_BxSxD + self.mlp(self.mlp_norm(x_BxSxD))


class ClipTextModel(nnx.Module):
    """The tower and its projection (reference: transformers' CLIPTextModelWithProjection)."""

    def __init__(self, config: ClipTextConfig, *, dtype: DTypeLike = jnp.float32, rngs: nnx.Rngs) -> None:
        """Random parameters of the given type; see `chronos_jax.text.encoder` for pretrained ones."""

        def embed(rows: int) -> nnx.Embed:
            return nnx.Embed(rows, config.hidden_size, dtype=dtype, param_dtype=dtype, rngs=rngs)

        self.config = config
        self.token_embedding = embed(config.vocab_size)
        self.position_embedding = embed(config.max_position_embeddings)
        self.blocks = stack_blocks(
            lambda rngs: ClipBlock(config, dtype=dtype, rngs=rngs), config.num_hidden_layers, rngs
        )
        self.final_norm = layer_norm(config, dtype=dtype, rngs=rngs)
        self.text_projection = nnx.Linear(
            config.hidden_size,
            config.projection_dim,
            use_bias=False,
            dtype=dtype,
            param_dtype=dtype,
            preferred_element_type=jnp.float32,
            rngs=rngs,
        )

    def __call__(self, tokens_BxS: Int[Array, "b s"], lengths_B: Int[Array, " b"]) -> Float[Array, "b s d"]:
        """Hidden states of texts after the final norm, float32.

        Args:
            tokens_BxS: Token ids, at most `max_position_embeddings` of a text, with anything behind its end.
            lengths_B: Tokens of each text, at least 1.

        Returns:
            Hidden states; finite and without meaning behind the end of a text.
        """
        positions_SxD = self.position_embedding.embedding[: tokens_BxS.shape[1]].astype(jnp.float32)
        x_BxSxD = self.token_embedding(tokens_BxS).astype(jnp.float32) + positions_SxD[None]
        return self.final_norm(run_blocks(self.blocks, self.config.num_hidden_layers, x_BxSxD, lengths_B))

    def project(
        self, hidden_BxSxD: Float[Array, "b s d"], tokens_BxS: Int[Array, "b s"], lengths_B: Int[Array, " b"]
    ) -> Float[Array, "b p"]:
        """The embedding of each text, not normalised: the state at its end-of-text token, projected.

        That is the first such token of a text, and the first of all tokens where there is none.
        """
        inside_BxS = jnp.arange(tokens_BxS.shape[1])[None] < lengths_B[:, None]
        if self.config.eos_token_id == LEGACY_EOS:
            rank_BxS = jnp.where(inside_BxS, tokens_BxS, -1)
        else:
            rank_BxS = inside_BxS & (tokens_BxS == self.config.eos_token_id)
        end_B = jnp.argmax(rank_BxS, axis=1)
        return self.text_projection(jnp.take_along_axis(hidden_BxSxD, end_B[:, None, None], axis=1)[:, 0])
