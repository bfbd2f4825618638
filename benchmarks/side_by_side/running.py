"""One case from its processes to its result."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.side_by_side.cases import CASES, NONE, START, TRAINING
from benchmarks.side_by_side.loading import SIDES, Setting, SideName
from benchmarks.side_by_side.measuring import Runs, alternating, difference, relative_error
from benchmarks.side_by_side.outcome import ERROR_TOLERANCE, outcome, tolerance
from benchmarks.side_by_side.sides import Served
from benchmarks.side_by_side.training import Training, train_both


class Asked(NamedTuple):
    """What of a case is wanted: turns, whether the reference runs under torch.compile too, and how long training is."""

    repeats: int
    compiled: bool
    training: Training


Advance = Callable[[str], object]


def run_case(case: str, size: str, setting: Setting, asked: Asked, room: Path, advance: Advance) -> dict[str, Any]:
    """Measures a case.

    Args:
        case: Key of `cases.CASES`.
        size: Of the model in the setting's folder, as `chronos_jax.chronos2.random_weights.SIZES` names it.
        setting: Checkpoint, device and type.
        asked: What of it.
        room: Folder for logs, answers and runs.
        advance: Called with the name of what was done, after each warm-up and each measurement.

    Returns:
        "runs", all measurements by side; "difference" of the answers, its value and its tolerance; "error", of a
        pipeline's bfloat16 from the reference in float32 over that of the reference's bfloat16, likewise; what else
        there is to know, such as "threads"; and what `outcome.outcome` makes of them.

    Raises:
        SideError: A process ended too early.
    """
    flops = _flops(case, size)
    if case == START:
        runs, more = _starts(setting, asked.repeats, room, advance)
    elif case == TRAINING:
        runs, more = train_both(setting, asked.training, asked.repeats, room, advance)
    else:
        runs, more = _served(case, setting, asked, room, advance)
    judged = CASES[case]
    if case == TRAINING and (asked.training.windows, asked.training.epochs) != (5000, 50):
        judged = replace(judged, title=f"{judged.title} (here {asked.training})", ratio=NONE)
    return {
        "title": judged.title,
        **outcome(judged, runs, setting.device, setting.dtype, flops),
        "difference": {"value": more.pop("difference"), "tolerance": tolerance(judged, setting.dtype)},
        **more,
        "runs": runs,
    }


def _served(case: str, setting: Setting, asked: Asked, room: Path, advance: Advance) -> tuple[Runs, dict[str, Any]]:
    sides = SIDES if asked.compiled else SIDES[:2]
    exact = None if setting.dtype == "float32" else _exact(case, setting, room, advance)
    with ExitStack() as stack:
        served = [stack.enter_context(Served(side, case, setting, room)) for side in sides]
        extra = []
        for call in CASES[case].ours_too:
            side: SideName = "reference" if call.startswith("reference") else "chronos_jax"
            extra.append(stack.enter_context(Served(side, case, setting, room, call)))
        first_calls = {}
        for one in served + extra:
            first_calls[one.name] = one.warm_up(save=one in served)
            advance(f"{one.name} warmed up")
        ours, *references = (one.answer() for one in served)
        apart = max(difference(ours, reference) for reference in references)
        runs = alternating({one.name: one.measure for one in served + extra}, asked.repeats, advance)
        threads = {one.name: one.threads for one in served}
    more = {"difference": apart, "threads": threads, "first_call_seconds": first_calls}
    if exact is not None:
        error = relative_error(ours, references[0], exact)
        more["error"] = {"value": error, "tolerance": ERROR_TOLERANCE}
    return runs, more


def _exact(case: str, setting: Setting, room: Path, advance: Advance) -> np.ndarray:
    """The reference's answer in float32."""
    with Served("reference", case, setting._replace(dtype="float32"), room) as served:
        served.warm_up(save=True)
        advance("reference in float32")
        return served.answer()


def _starts(setting: Setting, repeats: int, room: Path, advance: Advance) -> tuple[Runs, dict[str, Any]]:
    from benchmarks.side_by_side.starts import answers, starts

    runs = alternating(starts(setting, room), repeats, advance)
    return runs, {"difference": difference(*answers(room))}


def _flops(case: str, size: str) -> int | None:
    from chronos_jax.chronos2.random_weights import SIZES

    count = CASES[case].flops
    return None if count is None else count(SIZES[size])
