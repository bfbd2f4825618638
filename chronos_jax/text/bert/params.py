"""The weight table of BERT: every published tensor and its place in `BertModel`."""

from chronos_jax.checkpoints.weights import Weight
from chronos_jax.text.bert.config import BertConfig
from chronos_jax.text.tables import blocks, embedding, norm

UNUSED = ("embeddings.position_ids",)
"""Patterns of published names that are no weights of the model: a buffer of older checkpoints."""

POOLER = "pooler.*"
"""Pattern of the optional pooler, of which no sentence embedding makes use."""

_BLOCK = {
    "attention.q": "attention.self.query",
    "attention.k": "attention.self.key",
    "attention.v": "attention.self.value",
    "attention.o": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "mlp.hidden": "intermediate.dense",
    "mlp.output": "output.dense",
    "mlp_norm": "output.LayerNorm",
}


def weight_table(config: BertConfig, pooler: bool = False) -> list[Weight]:
    """All tensors of a checkpoint of this configuration.

    Args:
        config: Sizes.
        pooler: Whether the tanh layer that published checkpoints may carry is among them: `BertModel` has none, but
            what converts a checkpoint keeps it.
    """
    width = config.hidden_size
    table = [
        embedding("embeddings.word_embeddings", "word_embeddings", config.vocab_size, width),
        embedding("embeddings.position_embeddings", "position_embeddings", config.max_position_embeddings, width),
        embedding("embeddings.token_type_embeddings", "token_type_embeddings", config.type_vocab_size, width),
        *norm("embeddings.LayerNorm", ("embedding_norm",), width),
        *blocks("encoder.layer.{layer}", _BLOCK, config),
    ]
    if pooler:
        table += [
            Weight("pooler.dense.weight", ("pooler", "kernel"), (width, width), ("embed", None), transpose=True),
            Weight("pooler.dense.bias", ("pooler", "bias"), (width,), (None,)),
        ]
    return table
