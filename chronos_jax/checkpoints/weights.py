"""One row of a family's weight table: how a published tensor becomes an array of the Flax model."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

ArrayPath = tuple[str, ...]
"""Keys from the root of a pure state dictionary to an array."""


@dataclass(frozen=True)
class Weight:
    """A published tensor, or the same tensor of every layer, and its place in the model.

    Attributes:
        name: The published name; for stacked weights, `{layer}` stands for the layer's number.
        path: Keys from the root of the model's pure state dictionary.
        shape: Shape of one tensor as published.
        axes: Logical axis of each dimension of the array in the model ("layers" first where stacked), or None.
        transpose: Whether the two axes swap (PyTorch stores linear weights as (out, in), Flax as (in, out)).
        layers: Number of tensors stacked along a new first axis; None for a single tensor.
    """

    name: str
    path: ArrayPath
    shape: tuple[int, ...]
    axes: tuple[str | None, ...]
    transpose: bool = False
    layers: int | None = None

    @property
    def names(self) -> list[str]:
        """The published names, in the order in which they are stacked."""
        return [self.name] if self.layers is None else [self.name.format(layer=i) for i in range(self.layers)]

    @property
    def model_shape(self) -> tuple[int, ...]:
        """Shape of the array in the model."""
        shape = self.shape[::-1] if self.transpose else self.shape
        return shape if self.layers is None else (self.layers, *shape)


ReadWeight = Callable[[Weight], np.ndarray]
"""Reads the array of one weight: what passes from readers to writers, so that only one array is in memory at a time."""


def published_shapes(table: Sequence[Weight]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every published name of a table with its shape."""
    for weight in table:
        for name in weight.names:
            yield name, weight.shape


def tensors_of(weight: Weight, array: Any) -> Iterator[tuple[str, Any]]:
    """An array of the model taken apart: the published names with views of their tensors."""
    for i, name in enumerate(weight.names):
        tensor = array if weight.layers is None else array[i]
        yield name, tensor.T if weight.transpose else tensor


def is_unused(name: str, unused: Sequence[str]) -> bool:
    """Whether a name fits one of these patterns, as `fnmatch` has them, of tensors that a model does without."""
    return any(fnmatchcase(name, pattern) for pattern in unused)


def shape_mismatches(found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    """What is missing, of another shape, or unknown, one sentence each."""
    for name, shape in expected.items():
        if name not in found:
            yield f"missing: {name}, expected with shape {shape}"
        elif found[name] != shape:
            yield f"{name} has shape {found[name]}, expected {shape}"
    yield from (f"unknown: {name} of shape {shape}" for name, shape in found.items() if name not in expected)


def nest(arrays: Iterable[tuple[Weight, Any]]) -> dict[str, Any]:
    """The pure state dictionary of a model from its arrays."""
    return unflatten((weight.path, array) for weight, array in arrays)


def unflatten(arrays: Iterable[tuple[ArrayPath, Any]]) -> dict[str, Any]:
    """A pure state dictionary from paths and arrays."""
    state: dict[str, Any] = {}
    for path, array in arrays:
        inner = state
        for key in path[:-1]:
            inner = inner.setdefault(key, {})
        inner[path[-1]] = array
    return state


def flatten(state: Mapping[str, Any], prefix: ArrayPath = ()) -> Iterator[tuple[ArrayPath, Any]]:
    """Paths and arrays of a pure state dictionary: the inverse of `unflatten`."""
    for key, value in state.items():
        if isinstance(value, Mapping):
            yield from flatten(value, (*prefix, key))
        else:
            yield (*prefix, key), value
