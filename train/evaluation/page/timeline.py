"""Windows laid along time, so that each moment has one."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from train.evaluation.page.plot import moment


@dataclass(frozen=True)
class Stretch:
    """A part of a day, from hour to hour, that belongs to one window."""

    day: str
    start: float
    end: float
    window: int


def timeline(starts: Sequence[str], ends: Sequence[str]) -> list[Stretch]:
    """Stretches in order of time. Where windows overlap, the one that began later has the moment.

    Args:
        starts: When each window begins, ISO 8601 without a zone.
        ends: When it ends. Windows whose times are unknown have no stretch.
    """
    times = [(moment(start), moment(end)) for start, end in zip(starts, ends, strict=True)]
    timed = [index for index, (start, end) in enumerate(times) if start is not None and end is not None]
    if not timed:
        return []
    start_W, end_W = np.array([times[index] for index in timed], dtype="datetime64[us]").T
    after = end_W.max().astype("M8[D]") + np.timedelta64(1, "D")
    midnights = np.arange(start_W.min().astype("M8[D]"), after).astype("M8[us]")
    bounds = np.unique(np.concatenate([start_W, end_W, midnights]))
    owner = np.full(len(bounds), -1)  # of the time from this bound to the next
    first_W, last_W = np.searchsorted(bounds, start_W), np.searchsorted(bounds, end_W)
    for place in np.argsort(start_W, kind="stable"):
        owner[first_W[place] : last_W[place]] = timed[place]
    is_midnight = np.isin(bounds, midnights)
    cuts = np.flatnonzero((owner != np.roll(owner, 1)) | is_midnight)
    day_C, hours_C = bounds[cuts].astype("M8[D]"), (bounds - bounds.astype("M8[D]"))[cuts] / np.timedelta64(1, "h")
    stretches = []
    for piece, following in pairwise(range(len(cuts))):
        if (window := int(owner[cuts[piece]])) >= 0:
            end = 24.0 if is_midnight[cuts[following]] else float(hours_C[following])
            stretches.append(Stretch(str(day_C[piece]), float(hours_C[piece]), end, window))
    return stretches
