"""Sensor and room vocabularies: values to integer ids, with padding and unknown."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int32, Shaped

PADDING = "<PAD>"
UNKNOWN = "<UNK>"

Field = Literal["sensor", "room"]


@dataclass(frozen=True)
class Vocabulary:
    """`{field: {value: id}}` for the fields "sensor" and "room", special values included; JSON in the same form.

    Vocabularies built here give `<PAD>` the id 0 and `<UNK>` the id 1. Those read from elsewhere keep their ids;
    one without `<UNK>` gets it as the next free id.
    """

    ids: Mapping[str, Mapping[str, int]]

    def __post_init__(self) -> None:
        for field in ("sensor", "room"):
            if field not in self.ids:
                raise ValueError(f"The vocabulary has no field {field!r}; it has {sorted(self.ids)}.")
            if UNKNOWN not in self.ids[field]:
                raise ValueError(f"The vocabulary of {field!r} has no id for unknown values ({UNKNOWN!r}).")
            taken = list(self.ids[field].values())
            if min(taken) < 0 or len(set(taken)) != len(taken):
                raise ValueError(f"The vocabulary of {field!r} has negative or repeated ids; each value needs its own.")

    @classmethod
    def of(cls, sensors: Iterable[str], rooms: Iterable[str]) -> "Vocabulary":
        """The vocabulary of the values that occur (in the training split), in alphabetical order from id 2."""
        return cls({"sensor": _numbered(sensors), "room": _numbered(rooms)})

    def size(self, field: Field) -> int:
        """One more than the highest id, so padding and unknown are counted."""
        return max(self.ids[field].values()) + 1

    def encode(self, field: Field, values: Shaped[np.ndarray, " e"]) -> Int32[np.ndarray, " e"]:
        """The id of each value; values that the vocabulary does not have get that of `<UNK>`."""
        ids = self.ids[field]
        unique, inverse = np.unique(values, return_inverse=True)
        return np.array([ids.get(str(value), ids[UNKNOWN]) for value in unique], dtype=np.int32)[inverse]

    def unknown(self, field: Field, values: Iterable[str]) -> int:
        """How many of the values the vocabulary does not have."""
        known = self.ids[field].keys() - {UNKNOWN}
        return sum(value not in known for value in values)


def _numbered(values: Iterable[str]) -> dict[str, int]:
    return {value: number for number, value in enumerate([PADDING, UNKNOWN, *sorted(set(values))])}
