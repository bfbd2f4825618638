"""Cold starts: whole processes, from their start to the first forecast."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

from benchmarks.side_by_side.loading import Setting, SideName, environment
from benchmarks.side_by_side.measuring import Run
from benchmarks.side_by_side.sides import module, timed_process

EMPTY_CACHE = "chronos_jax, empty cache"


def starts(setting: Setting, room: Path) -> dict[str, Callable[[], Run]]:
    """What to time, by name: both sides on a machine where they ran before, and ours where it did not.

    The reference keeps nothing that it compiles. All start once here, apart from the clock, so that what a first start
    writes and reads is where later ones find it.
    """
    cache = Path(mkdtemp(prefix="cache-", dir=room))

    def start(side: SideName, cache: Path | None) -> Run:
        used = Path(mkdtemp(prefix="cache-", dir=room)) if cache is None else cache
        env = environment(setting.device, setting.dtype) | {"XDG_CACHE_HOME": str(used)}
        file = _answer(room, side)
        times = timed_process(module("first_forecast", side, *setting, file), env, room / f"{side}.log")
        return {"seconds": float(file.with_suffix(".txt").read_text()) - times.start, "others": times.others}

    for side in ("chronos_jax", "reference"):
        start(side, cache)
    return {
        "chronos_jax": partial(start, "chronos_jax", cache),
        "reference": partial(start, "reference", cache),
        EMPTY_CACHE: partial(start, "chronos_jax", None),
    }


def answers(room: Path) -> tuple[np.ndarray, np.ndarray]:
    """What the last starts of both sides forecast: ours, the reference's."""
    return np.load(_answer(room, "chronos_jax")), np.load(_answer(room, "reference"))


def _answer(room: Path, side: SideName) -> Path:
    return room / f"first-{side}.npy"
