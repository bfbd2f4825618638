"""Tiny text encoders as they lie on the hub: with what repositories hold besides the model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import text_models
from safetensors.numpy import load_file, save_file

BERT = text_models.BERTS["tiny BERT"]
CLIP = text_models.CLIPS["tiny CLIP"]


def write_hub_bert(folder: Path, *, pooler: bool = True, dtype: Any = np.float32, **sentence: Any) -> Path:
    """With sentence-transformers' files, and the buffer of older releases, which is of another type.

    Args:
        folder: Where.
        pooler: Whether the checkpoint has one.
        dtype: Of its tensors.
        sentence: What the files of sentence-transformers say (see `text_models.write_sentence_files`).
    """
    text_models.write_bert(folder, BERT, **({"pooling": "mean", "max_seq_length": 16} | sentence))
    (folder / "README.md").write_text("no part of the model")
    (folder / "vocab.txt").write_text("[PAD]\n")
    tensors = {name: x.astype(dtype) for name, x in load_file(folder / "model.safetensors").items()}
    if not pooler:
        del tensors["pooler.dense.weight"], tensors["pooler.dense.bias"]
    tensors["embeddings.position_ids"] = np.arange(BERT.max_position_embeddings)[None]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


def write_whole_clip(folder: Path) -> Path:
    """Both halves in one file, of the other no more than the names show that there is one."""
    text_models.write_clip(folder, CLIP)
    text = {key: value for key, value in CLIP.to_dict().items() if key not in ("architectures", "projection_dim")}
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 4}
    config = {
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "projection_dim": CLIP.projection_dim,
        "text_config": text,
        "vision_config": sizes,
    }
    (folder / "config.json").write_text(json.dumps(config))
    others = {
        "logit_scale": np.array(4.6, np.float32),
        "visual_projection.weight": np.zeros((CLIP.projection_dim, 16), np.float32),
        "vision_model.embeddings.class_embedding": np.zeros(16, np.float32),
        "vision_model.embeddings.position_ids": np.arange(5)[None],
        "text_model.embeddings.position_ids": np.arange(CLIP.max_position_embeddings)[None],
    }
    save_file(load_file(folder / "model.safetensors") | others, folder / "model.safetensors", {"format": "pt"})
    return folder
