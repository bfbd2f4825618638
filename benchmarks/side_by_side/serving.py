"""What runs in the process of a side: one case, again and again, whenever it is asked to.

python -m benchmarks.side_by_side.serving SIDE CASE CALL FOLDER DEVICE DTYPE
"""

import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from benchmarks.side_by_side.cases import CASES, Call
from benchmarks.side_by_side.disturbance import processors, taken_by_others
from benchmarks.side_by_side.loading import Setting, SideName, load, threads

LEAST_SECONDS = 0.5  # of one measurement: calls that are shorter are repeated until then


def numbers(answer: Any) -> np.ndarray:
    """All floating-point numbers of an answer, one after another: forecasts, embeddings, or a DataFrame."""
    if hasattr(answer, "columns"):
        return answer.select_dtypes("floating").to_numpy().ravel()
    if isinstance(answer, tuple):  # embeddings, and beside them levels and scales
        answer = answer[0]
    return np.concatenate([_array(part).ravel() for part in answer])


def _array(part: Any) -> np.ndarray:
    return part.float().numpy() if hasattr(part, "float") else np.asarray(part, np.float32)  # torch has bfloat16


def measure(call: Call, pipeline: Any, peak_mb: Callable[[], float]) -> dict[str, Any]:
    """Mean and least seconds of a call, mean seconds of processor time, number of calls, and the peak of memory.

    And "others", the share of the machine's processors that other processes took meanwhile.
    """
    seconds: list[float] = []
    before, processor = processors(), time.process_time()
    while sum(seconds) < LEAST_SECONDS:
        start = time.perf_counter()
        call(pipeline)
        seconds.append(time.perf_counter() - start)
    own = time.process_time() - processor
    return {
        "seconds": sum(seconds) / len(seconds),
        "least_seconds": min(seconds),
        "cpu_seconds": own / len(seconds),
        "calls": len(seconds),
        "peak_mb": peak_mb(),
        "others": taken_by_others(before, own),
    }


def peak_of_process() -> float:
    """The most memory that this process has had since `restart_peak`, in MB."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def restart_peak() -> None:
    """From here on, memory that was given back does not count."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_of_device(side: SideName) -> float:
    """The most device memory that arrays have taken since the process began, in MB."""
    if side == "chronos_jax":
        import jax

        return (jax.local_devices()[0].memory_stats() or {})["peak_bytes_in_use"] / 2**20
    import torch

    return torch.cuda.max_memory_allocated() / 2**20


def main() -> None:
    """Answers each line of stdin in a line of stdout: {"save": file} warms up, {} measures. All in JSON."""
    side, setting = cast(SideName, sys.argv[1]), Setting.of(sys.argv[4:])
    case, name = sys.argv[2:4]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the libraries print goes to stderr
    warnings.simplefilter("ignore")
    pipeline = load(side, setting)
    make = CASES[case].ours_too.get(name, CASES[case].make)
    assert make is not None, f"{case} is no case of a pipeline"
    call = make()

    peak_mb = peak_of_process if setting.device == "cpu" else partial(peak_of_device, side)
    print(json.dumps({"threads": threads(side)}), file=answers, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if "save" in order:
            start = time.perf_counter()
            answer = call(pipeline)
            outcome = {"seconds": time.perf_counter() - start}
            if order["save"] is not None:
                np.save(order["save"], numbers(answer))
            del answer
        else:
            if setting.device == "cpu":
                restart_peak()
            outcome = measure(call, pipeline, peak_mb)
        print(json.dumps(outcome), file=answers, flush=True)


if __name__ == "__main__":
    main()
