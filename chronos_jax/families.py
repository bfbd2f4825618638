"""The model families there are: from a raw configuration to the family's weight table."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from chronos_jax.checkpoints.weights import Weight
from chronos_jax.chronos2.config import Chronos2Config
from chronos_jax.chronos2.params import weight_table


class Family(NamedTuple):
    """What a checkpoint's configuration makes of it."""

    name: str
    table: list[Weight]


def family_of(config: Mapping[str, Any]) -> Family:
    """The family of a raw `config.json`. Raises UnsupportedConfigError where there is none that can run it."""
    return Family("Chronos-2", weight_table(Chronos2Config.from_dict(config)))
