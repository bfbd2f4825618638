"""The configuration of CLIP's text tower: what `config.json` says, of the tower alone or of both, validated."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from chronos_jax.checkpoints.errors import UnsupportedConfigError
from chronos_jax.text.config import Activation, TowerConfig, read_tower_config, unsupported_settings

LEGACY_EOS = 2
"""An `eos_token_id` that configurations carry by mistake: the largest id in a text is meant (transformers #24773)."""


class ClipTextConfig(TowerConfig):
    """Sizes of a text tower; the defaults are those of openai/clip-vit-base-patch32.

    Attributes:
        projection_dim: Width of the space that texts and images share.
        eos_token_id: The token at whose first place a text is read off; `LEGACY_EOS` means the largest id there is.
    """

    vocab_size: int = Field(49408, gt=0)
    hidden_size: int = Field(512, gt=0)
    num_hidden_layers: int = Field(12, gt=0)
    num_attention_heads: int = Field(8, gt=0)
    intermediate_size: int = Field(2048, gt=0)
    max_position_embeddings: int = Field(77, gt=0)
    projection_dim: int = Field(512, gt=0)
    hidden_act: Activation = "quick_gelu"
    layer_norm_eps: float = Field(1e-5, gt=0)
    eos_token_id: int = 49407

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> "ClipTextConfig":
        """Reads the published form of the tower's own configuration, or finds it in that of the whole CLIP.

        Published files name only what differs from the defaults.

        Raises:
            UnsupportedConfigError: Naming every setting that is malformed or unsupported.
        """
        problems = unsupported_settings(
            raw, {"model_type": ("clip", "clip_text_model"), "auto_map": (), "quantization_config": ()}
        )
        text = raw
        if raw.get("model_type") == "clip":
            # Where both are there, transformers lets text_config_dict, completed with the defaults, win.
            key = "text_config" if raw.get("text_config_dict") is None else "text_config_dict"
            text = {} if raw.get(key) is None else raw[key]
            if not isinstance(text, Mapping):
                raise UnsupportedConfigError(f"{key} must be a JSON object, found {text!r}")
            text = {**text, "projection_dim": raw.get("projection_dim")}
        return read_tower_config(cls, text, "CLIP", problems)

    def to_dict(self) -> dict[str, Any]:
        """The published form of the tower alone, which transformers' CLIPTextModelWithProjection reads."""
        return {
            **self.model_dump(),
            "architectures": ["CLIPTextModelWithProjection"],
            "model_type": "clip_text_model",
        }
