"""What the configurations of all text towers have in common."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from chronos_jax.checkpoints.errors import UnsupportedConfigError

C = TypeVar("C", bound="TowerConfig")

Activation = Literal["gelu", "gelu_new", "gelu_pytorch_tanh", "quick_gelu", "relu"]
"""Published values of `hidden_act` that `chronos_jax.text.layers` computes."""


class TowerConfig(BaseModel):
    """Sizes of a transformer over tokens, under their published names.

    Hashable, so that it can be a static argument of a jitted function.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    vocab_size: int = Field(gt=0)
    hidden_size: int = Field(gt=0)
    num_hidden_layers: int = Field(gt=0)
    num_attention_heads: int = Field(gt=0)
    intermediate_size: int = Field(gt=0)
    max_position_embeddings: int = Field(gt=0)
    hidden_act: Activation
    layer_norm_eps: float = Field(gt=0)
    pad_token_id: int | None = None

    @model_validator(mode="after")
    def _check(self: C) -> C:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size must be a multiple of num_attention_heads, "
                f"found {self.hidden_size} and {self.num_attention_heads}"
            )
        return self


def read_tower_config(cls: type[C], raw: Mapping[str, Any], family: str, problems: Sequence[str]) -> C:
    """The fields of a configuration class from a raw one; what else is in there does not change a forward pass.

    Args:
        cls: The class of the family.
        raw: Fields under their published names; null is absent.
        family: What to call the configuration in messages.
        problems: What is already known to be unsupported.

    Raises:
        UnsupportedConfigError: Naming every setting that is missing, malformed or unsupported.
    """
    fields = {name: raw[name] for name in cls.model_fields if raw.get(name) is not None}
    found = list(problems)
    try:
        config = cls(**fields)
    except ValidationError as error:
        found += [
            f"{'.'.join(map(str, e['loc'])) or 'config'}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors()
        ]
    if found:
        raise UnsupportedConfigError(f"cannot use this {family} configuration: " + "; ".join(found))
    return config


def unsupported_settings(raw: Mapping[str, Any], supported: Mapping[str, Sequence[Any]]) -> list[str]:
    """A sentence for each setting that has another value than the supported ones; absent and null are fine."""
    return [
        f"{key} {raw[key]!r} is not supported (supported: {', '.join(map(repr, values)) or 'none'})"
        for key, values in supported.items()
        if raw.get(key) is not None and raw[key] not in values
    ]
