"""The configuration of a BERT checkpoint: what `config.json` says, validated."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from chronos_jax.text.config import Activation, TowerConfig, read_tower_config, unsupported_settings

# Settings under which the weights mean another network.
_SUPPORTED: Mapping[str, tuple[Any, ...]] = {
    "model_type": ("bert",),
    "position_embedding_type": ("absolute",),
    "is_decoder": (False,),
    "add_cross_attention": (False,),
    "pruned_heads": ({}, []),
    "auto_map": (),  # the network is whatever the repository's own Python code says
    "quantization_config": (),
}


class BertConfig(TowerConfig):
    """Sizes and settings of a BERT encoder."""

    type_vocab_size: int = Field(2, gt=0)
    hidden_act: Activation = "gelu"
    layer_norm_eps: float = Field(1e-12, gt=0)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> "BertConfig":
        """Reads the published form of the configuration.

        Raises:
            UnsupportedConfigError: Naming every setting that is missing, malformed or unsupported.
        """
        return read_tower_config(cls, raw, "BERT", unsupported_settings(raw, _SUPPORTED))

    def to_dict(self) -> dict[str, Any]:
        """The published form, which transformers reads."""
        return {
            **self.model_dump(),
            "architectures": ["BertModel"],
            "model_type": "bert",
            "position_embedding_type": "absolute",
        }
