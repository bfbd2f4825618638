"""BERT on batches of token ids: embeddings, then blocks with the norm behind each sum."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, DTypeLike, Float, Int

from chronos_jax.layers.stacking import stack_blocks
from chronos_jax.text.bert.config import BertConfig
from chronos_jax.text.layers import Mlp, SelfAttention, layer_norm, run_blocks


class BertBlock(nnx.Module):
    """One post-norm block (reference: transformers.models.bert.modeling_bert.BertLayer)."""

    def __init__(self, config: BertConfig, *, dtype: DTypeLike, rngs: nnx.Rngs) -> None:
        self.attention = SelfAttention(config, causal=False, dtype=dtype, rngs=rngs)
        self.attention_norm = layer_norm(config, dtype=dtype, rngs=rngs)
        self.mlp = Mlp(config, dtype=dtype, rngs=rngs)
        self.mlp_norm = layer_norm(config, dtype=dtype, rngs=rngs)

    def __call__(self, x_BxSxD: Float[Array, "b s d"], lengths_B: Int[Array, " b"]) -> Float[Array, "b s d"]:
        x_BxSxD = self.attention_norm(x_BxSxD + self.attention(x_BxSxD, lengths_B))
        return self.mlp_norm(x_BxSxD + self.mlp(x_BxSxD))


class BertModel(nnx.Module):
    """BERT without the pooler (reference: transformers' BertModel), for single texts: every token is of type 0."""

    def __init__(self, config: BertConfig, *, dtype: DTypeLike = jnp.float32, rngs: nnx.Rngs) -> None:
        """Random parameters of the given type; see `chronos_jax.text.encoder` for pretrained ones."""

        def embed(rows: int) -> nnx.Embed:
            return nnx.Embed(rows, config.hidden_size, dtype=dtype, param_dtype=dtype, rngs=rngs)

        self.config = config
        self.word_embeddings = embed(config.vocab_size)
        self.position_embeddings = embed(config.max_position_embeddings)
        self.token_type_embeddings = embed(config.type_vocab_size)
        self.embedding_norm = layer_norm(config, dtype=dtype, rngs=rngs)
        self.blocks = stack_blocks(
            lambda rngs: BertBlock(config, dtype=dtype, rngs=rngs), config.num_hidden_layers, rngs
        )

    def __call__(self, tokens_BxS: Int[Array, "b s"], lengths_B: Int[Array, " b"]) -> Float[Array, "b s d"]:
        """Hidden states of texts, float32.

        Args:
            tokens_BxS: Token ids, at most `max_position_embeddings` of a text, with anything behind its end.
            lengths_B: Tokens of each text, at least 1.

        Returns:
            The output of the last block; finite and without meaning behind the end of a text.
        """
        words_BxSxD = self.word_embeddings(tokens_BxS).astype(jnp.float32)
        positions_SxD = self.position_embeddings.embedding[: tokens_BxS.shape[1]].astype(jnp.float32)
        type_D = self.token_type_embeddings.embedding[0].astype(jnp.float32)
        x_BxSxD = words_BxSxD + type_D[None, None] + positions_SxD[None]
        return run_blocks(self.blocks, self.config.num_hidden_layers, self.embedding_norm(x_BxSxD), lengths_B)
