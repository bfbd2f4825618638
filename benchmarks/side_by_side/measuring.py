"""Alternation, and what is said of measurements: medians, least values, and ratios with their spread."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.side_by_side.sides import SideError

Run = Mapping[str, Any]
"""One measurement: "seconds", and what else was measured."""

Runs = Mapping[str, Sequence[Run]]
"""All measurements, by the name of what ran."""


class Ratio(NamedTuple):
    """A ratio of medians, and the lowest and highest ratio of two measurements that were taken in one turn."""

    value: float
    lowest: float
    highest: float


def alternating(
    runs: Mapping[str, Callable[[], Run]], repeats: int, advance: Callable[[str], object]
) -> dict[str, list[Run]]:
    """What each of these measured in `repeats` turns: in this order, then in the reverse, and so on.

    Args:
        runs: By name.
        repeats: Turns, in each of which everyone runs once.
        advance: Called after every run, with its name.
    """
    results: dict[str, list[Run]] = {name: [] for name in runs}
    for turn in range(repeats):
        for name in list(runs)[:: 1 if turn % 2 == 0 else -1]:
            results[name].append(runs[name]())
            advance(name)
    return results


def values(runs: Sequence[Run], key: str = "seconds") -> Iterator[float]:
    """One number of each measurement."""
    return (float(run[key]) for run in runs)


def ratio(numerators: Sequence[Run], denominators: Sequence[Run], key: str = "seconds") -> Ratio:
    """Of one number of two that took turns."""
    paired = [a / b for a, b in zip(values(numerators, key), values(denominators, key), strict=True)]
    medians = [statistics.median(values(runs, key)) for runs in (numerators, denominators)]
    return Ratio(medians[0] / medians[1], min(paired), max(paired))


def difference(ours: np.ndarray, reference: np.ndarray) -> float:
    """The largest difference as a share of the reference's largest value.

    Raises:
        SideError: Shapes differ, or ours is not finite: there is nothing to compare.
    """
    if ours.shape != reference.shape:
        raise SideError(f"answers have other shapes: ours {ours.shape}, the reference's {reference.shape}")
    if not np.isfinite(ours).all():
        raise SideError("our answer is not finite")
    return float(np.abs(ours - reference).max() / np.abs(reference).max())


def relative_error(ours: np.ndarray, reference: np.ndarray, exact: np.ndarray) -> float:
    """How far ours is from the exact answer over how far the reference is, both as root mean squares.

    Raises:
        SideError: The reference is not off at all: it did not compute in another type.
    """
    if np.array_equal(reference, exact):
        raise SideError("the reference's answer is the exact one, digit by digit")
    errors = [np.sqrt(np.mean(np.square(answer - exact, dtype=np.float64))) for answer in (ours, reference)]
    return float(errors[0] / errors[1])
