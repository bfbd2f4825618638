"""The weight table of CLIP's text tower: every published tensor and its place in `ClipTextModel`."""

from chronos_jax.checkpoints.weights import Weight
from chronos_jax.text.clip.config import ClipTextConfig
from chronos_jax.text.tables import blocks, embedding, norm

UNUSED = (
    "text_model.embeddings.position_ids",
    "vision_model.*",
    "visual_projection.weight",
    "logit_scale",
)
"""Patterns of published names that are not part of the tower: an older buffer, and the other half of CLIP."""

_BLOCK = {
    "attention_norm": "layer_norm1",
    "attention.q": "self_attn.q_proj",
    "attention.k": "self_attn.k_proj",
    "attention.v": "self_attn.v_proj",
    "attention.o": "self_attn.out_proj",
    "mlp_norm": "layer_norm2",
    "mlp.hidden": "mlp.fc1",
    "mlp.output": "mlp.fc2",
}


def weight_table(config: ClipTextConfig) -> list[Weight]:
    """All tensors of the text tower of a checkpoint of this configuration."""
    width, projected = config.hidden_size, config.projection_dim
    embeddings = "text_model.embeddings"
    return [
        embedding(f"{embeddings}.token_embedding", "token_embedding", config.vocab_size, width),
        embedding(f"{embeddings}.position_embedding", "position_embedding", config.max_position_embeddings, width),
        *blocks("text_model.encoder.layers.{layer}", _BLOCK, config),
        *norm("text_model.final_layer_norm", ("final_norm",), width),
        Weight(
            "text_projection.weight", ("text_projection", "kernel"), (projected, width), ("embed", None), transpose=True
        ),
    ]
