"""The text towers there are: from a configuration to a model and its weight table."""

from collections.abc import Callable
from dataclasses import dataclass

from chronos_jax.checkpoints.weights import Weight
from chronos_jax.text.bert import params as bert
from chronos_jax.text.bert.config import BertConfig
from chronos_jax.text.bert.modeling import BertModel
from chronos_jax.text.clip import params as clip
from chronos_jax.text.clip.config import ClipTextConfig
from chronos_jax.text.clip.modeling import ClipTextModel
from chronos_jax.text.config import TowerConfig


@dataclass(frozen=True)
class Tower:
    """What embeds texts, of a configuration.

    Attributes:
        config: Sizes and settings.
        table: The weights of the model.
        unused: Patterns of stored tensors that it does without.
        make: Builds the model, from its type and random keys.
    """

    config: BertConfig | ClipTextConfig
    table: list[Weight]
    unused: tuple[str, ...]
    make: Callable[..., BertModel | ClipTextModel]


def tower_of(config: TowerConfig) -> Tower:
    """The tower of a configuration, for embedding: without what only some other use would need."""
    if isinstance(config, BertConfig):
        return Tower(config, bert.weight_table(config), (*bert.UNUSED, bert.POOLER), BertModel)
    if isinstance(config, ClipTextConfig):
        return Tower(config, clip.weight_table(config), clip.UNUSED, ClipTextModel)
    raise TypeError(f"there is no text model for {type(config).__name__}")
