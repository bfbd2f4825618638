"""How much of the processors other processes take meanwhile: what a measurement on a busy machine is worth."""

import os
from pathlib import Path
from typing import NamedTuple


class Processors(NamedTuple):
    """Seconds since the machine started, summed over its processors: at work (for other machines, too), and all."""

    busy: float
    total: float


def processors() -> Processors:
    """As of now."""
    user, nice, system, idle, waiting, *rest = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:9])
    ticks = os.sysconf("SC_CLK_TCK")
    busy = user + nice + system + sum(rest)
    return Processors(busy / ticks, (busy + idle + waiting) / ticks)


def taken_by_others(before: Processors, own_seconds: float) -> float:
    """Share of the processors that was not idle and not one's own.

    Args:
        before: When the measurement began; it ends now.
        own_seconds: Of processor time that what is measured took.
    """
    after = processors()
    total = after.total - before.total
    return max(after.busy - before.busy - own_seconds, 0.0) / total if total else 0.0
