"""Numbers over runs that differ in their seed alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import t

from train.evaluation.bootstrap import LEVEL
from train.evaluation.report import NOT_MEASURED

FEWEST = 3  # of seeds: the t-interval over two is some thirteen times their standard error wide


def over_seeds(parts: Sequence[Any]) -> Any:
    """The same part of several reports as one: each number with its mean, and how far off that may be.

    Args:
        parts: Of at least two runs: whole reports, or what stands at one place in them.

    Returns:
        For numbers, {"value": mean, "half_width": of the t-interval of the mean, at the level of all intervals,
        "values": of each run}, with the means of "chance" and "majority" where they are; for dictionaries, the same of
        what all of them have; for anything else what it is, None where it differs. What a run could not measure is not
        measured.
    """
    first = parts[0]
    if not all(isinstance(part, dict) for part in parts):
        return first if all(part == first for part in parts) else None
    if not_measured := [part for part in parts if NOT_MEASURED in part]:
        return not_measured[0]
    if "value" not in first:
        shared = [key for key in first if all(key in part for part in parts)]
        return {key: over_seeds([part[key] for part in parts]) for key in shared}
    values = [part["value"] for part in parts]
    guesses = {
        guess: float(np.mean([part[guess] for part in parts])) for guess in ("chance", "majority") if guess in first
    }
    return {"value": float(np.mean(values)), "half_width": half_width(values), "values": values} | guesses


def is_same(number: Mapping[str, Any]) -> bool:
    """Whether a number over seeds is the same for all of them, as numbers of the frozen encoder are."""
    return len(set(number.get("values", ()))) == 1


def half_width(values: Sequence[float]) -> float:
    """Half the width of the t-interval of the mean of at least two values."""
    deviation_of_mean = np.std(values, ddof=1) / np.sqrt(len(values))
    return float(t.ppf((1 + LEVEL) / 2, len(values) - 1) * deviation_of_mean)
