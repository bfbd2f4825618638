"""The model families there are: from a raw configuration to the family's weight table."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from chronos_jax.checkpoints.errors import UnsupportedConfigError
from chronos_jax.checkpoints.weights import Weight
from chronos_jax.chronos2.config import Chronos2Config
from chronos_jax.chronos2.params import weight_table
from chronos_jax.text.bert import params as bert
from chronos_jax.text.bert.config import BertConfig
from chronos_jax.text.clip import params as clip
from chronos_jax.text.clip.config import ClipTextConfig
from chronos_jax.text.config import TowerConfig


class Family(NamedTuple):
    """What a checkpoint's configuration makes of it.

    Attributes:
        name: As people call it.
        table: Every tensor of the model.
        config: The published form of the configuration, for a checkpoint of these tensors alone.
        unused: Patterns, as `fnmatch` has them, of published names that are no part of the model.
        text: Sizes of a text encoder; None for other families.
    """

    name: str
    table: list[Weight]
    config: dict[str, Any]
    unused: tuple[str, ...] = ()
    text: TowerConfig | None = None


def family_of(config: Mapping[str, Any], names: Collection[str]) -> Family:
    """The family of a checkpoint.

    Args:
        config: Its raw `config.json`.
        names: What is stored, as `chronos_jax.checkpoints.loading.stored` names it: a BERT may have a pooler.

    Raises:
        UnsupportedConfigError: There is no family that can run it.
    """
    model_type, architectures = config.get("model_type"), config.get("architectures") or []
    # Chronos checkpoints have the type of the T5 that they are built of.
    if "chronos_config" in config or any(str(name).startswith("Chronos") for name in architectures):
        return Family("Chronos-2", weight_table(Chronos2Config.from_dict(config)), dict(config))
    if model_type == "bert":
        if any(name.startswith("bert.") for name in names):
            raise UnsupportedConfigError(
                f"this is a BERT within {architectures!r}, whose tensors are named 'bert.…'; expected BertModel alone: "
                "make it with transformers, BertModel.from_pretrained(SRC).save_pretrained(DST)"
            )
        pooler = any(name.startswith("pooler.") for name in names)
        sizes = BertConfig.from_dict(config)
        return Family("BERT", bert.weight_table(sizes, pooler), dict(config), bert.UNUSED, sizes)
    if model_type in ("clip", "clip_text_model"):
        text = ClipTextConfig.from_dict(config)
        return Family("CLIP text", clip.weight_table(text), text.to_dict(), clip.UNUSED, text)
    raise UnsupportedConfigError(
        f"a model of type {model_type!r} (architectures {architectures!r}) is not supported; supported are Chronos-2 "
        "('chronos_config' in config.json), BERT (model_type 'bert') and the text tower of CLIP (model_type 'clip' or "
        "'clip_text_model')"
    )
