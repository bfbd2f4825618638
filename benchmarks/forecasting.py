"""Forecasts by this project and by the PyTorch reference, side by side on one machine.

    python benchmarks/forecasting.py --size chronos-2-small --repeats 5

Each side is one process with the same random weights; both stay, and repetitions alternate between them and in which
goes first, so that what else the machine does meets both. A first run of every case, which compiles, is not counted;
of it the answers are compared: `difference` is the largest one over the largest value of the reference, and the exit
code is 1 where it is beyond what rounding explains. Cold starts are processes of their own. Needs the `test` extra.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

SIDES = ("chronos_jax", "reference")


def walks(*shape: int) -> np.ndarray:
    """Random walks with a season."""
    steps = np.random.default_rng(shape).standard_normal(shape).cumsum(-1)
    return (steps + 3 * np.sin(np.arange(shape[-1]) * 2 * np.pi / 24)).astype(np.float32)


def ragged(number: int = 2000) -> list[np.ndarray]:
    """Lengths as they are found in practice: most are short, some are long."""
    lengths = np.random.default_rng(0).lognormal(np.log(250), 1.0, number).clip(40, 2800).astype(int)
    return [walks(int(length)) for length in lengths]


def table() -> Any:
    """2,000 hourly series of 200 steps as a long DataFrame."""
    import pandas as pd

    return pd.DataFrame(
        {
            "item_id": np.repeat(np.arange(2000), 200),
            "timestamp": np.tile(pd.date_range("2024-01-01", periods=200, freq="h"), 2000),
            "target": walks(2000, 200).ravel(),
        }
    )


ARRAYS, FRAME = "2,000 × 200 as arrays → 24", "2,000 × 200 as DataFrame → 24"
UNROLLED = "one series of 512, 8,192 steps"
CASES: dict[str, Callable[[], Callable[[Any], object]]] = {
    "univariate, 256 × 512 → 64": lambda: _predict(walks(256, 1, 512), 64),
    "multivariate, 32 × 5 × 512 → 64": lambda: _predict(walks(32, 5, 512), 64),
    "2,000 ragged series → 24": lambda: _predict(ragged(), 24),
    ARRAYS: lambda: _predict(walks(2000, 1, 200), 24),
    FRAME: lambda: _predict_df(table(), 24),
    UNROLLED: lambda: _predict(walks(1, 1, 512), 8192),
}
TOLERANCE = dict.fromkeys(CASES, 1e-4) | {UNROLLED: 1e-3}  # forecasts that are fed back add up what is rounded


def _predict(inputs: Any, horizon: int) -> Callable[[Any], object]:
    return lambda pipeline: pipeline.predict(inputs, prediction_length=horizon)


def _predict_df(df: Any, horizon: int) -> Callable[[Any], object]:
    return lambda pipeline: pipeline.predict_df(df, prediction_length=horizon)


def load(side: str, folder: Path) -> Any:
    """The pipeline of one side."""
    if side == "reference":
        from chronos import Chronos2Pipeline as Reference

        return Reference.from_pretrained(folder)
    from chronos_jax import Chronos2Pipeline

    return Chronos2Pipeline.from_pretrained(folder)


def numbers(answer: Any) -> np.ndarray:
    """All numbers of an answer, one after another."""
    if hasattr(answer, "columns"):
        return answer.select_dtypes("floating").to_numpy().ravel()
    return np.concatenate([np.asarray(forecast).ravel() for forecast in answer])


def serve(side: str, folder: Path) -> None:
    """Answers each line of stdin, the name of a case and perhaps a file for its numbers: seconds, peak in MB."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the libraries print goes to stderr
    warnings.simplefilter("ignore")
    pipeline = load(side, folder)
    cases: dict[str, Callable[[Any], object]] = {}
    print(json.dumps("ready"), file=answers, flush=True)
    for line in sys.stdin:
        name, file = json.loads(line)
        run = cases.get(name) or cases.setdefault(name, CASES[name]())
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        start = time.perf_counter()
        answer = run(pipeline)
        seconds = time.perf_counter() - start
        status = Path("/proc/self/status").read_text()
        peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
        if file is not None:
            np.save(file, numbers(answer))
        print(json.dumps([seconds, peak]), file=answers, flush=True)


class Side:
    """A process that runs cases."""

    def __init__(self, side: str, folder: Path) -> None:
        self.name, self.folder = side, folder
        self.log = folder / f"{side}.log"
        command = [sys.executable, __file__, "--serve", side, "--folder", str(folder)]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self._read()

    def __call__(self, case: str) -> tuple[float, float]:
        """Seconds and peak memory in MB."""
        return tuple(self._ask(case, None))

    def numbers(self, case: str) -> np.ndarray:
        """What comes out."""
        file = self.folder / f"{self.name}.npy"
        self._ask(case, str(file))
        return np.load(file)

    def _ask(self, case: str, file: str | None) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([case, file]) + "\n")
        self.process.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        assert self.process.stdout is not None
        if not (line := self.process.stdout.readline()):
            raise SystemExit(f"{self.name} died:\n{last_lines(self.log.read_text())}")
        return json.loads(line)


def last_lines(log: str) -> str:
    return "\n".join(log.splitlines()[-15:])


def cold_start(side: str, folder: Path, cache: Path) -> float:
    """Seconds of a whole process: import, load, compile, forecast one series."""
    # Everything that is compiled is kept, not only what takes long.
    kept = {"JAX_COMPILATION_CACHE_DIR": str(cache), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    command = [sys.executable, __file__, "--cold", side, "--folder", str(folder)]
    start = time.perf_counter()
    done = subprocess.run(command, env=os.environ | kept, stderr=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{side} died:\n{last_lines(done.stderr)}")
    return seconds


def alternating(runs: Sequence[Callable[[], Any]], repeats: int) -> list[list[Any]]:
    """What each of these returned, `repeats` times, now in this order, now in the other."""
    results: list[list[Any]] = [[] for _ in runs]
    for repeat in range(repeats):
        for i in list(range(len(runs)))[:: 1 if repeat % 2 == 0 else -1]:
            results[i].append(runs[i]())
    return results


def compare(size: str, names: list[str], repeats: int) -> bool:
    """Prints the table, and returns whether both sides give the same forecasts."""
    from safetensors.numpy import save_file

    from chronos_jax.chronos2.random_weights import SIZES, random_tensors

    cpus = len(os.sched_getaffinity(0))
    print(f"{size}, random weights; {platform.machine()}, {cpus} CPUs available; medians of {repeats}\n")
    print("| case | chronos_jax | reference | ratio | peak memory | difference |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |", flush=True)
    same = True
    with tempfile.TemporaryDirectory() as room:
        folder = Path(room) / size
        folder.mkdir()
        save_file(random_tensors(SIZES[size], 0), folder / "model.safetensors", metadata={"format": "pt"})
        (folder / "config.json").write_text(json.dumps(SIZES[size].to_dict()))
        filled = Path(room) / "filled"
        cold_start("chronos_jax", folder, filled)
        starts = [
            lambda: cold_start("chronos_jax", folder, Path(tempfile.mkdtemp(dir=room))),
            lambda: cold_start("reference", folder, filled),  # it has no cache
            lambda: cold_start("chronos_jax", folder, filled),
        ]
        empty, reference, again = alternating(starts, repeats)
        _row("from start to the first forecast, compilation cache empty", empty, reference)
        _row("from start to the first forecast, compilation cache filled", again, reference)
        sides = [Side(side, folder) for side in SIDES]
        medians: dict[str, list[float]] = {}
        for name in names:
            ours, theirs = (side.numbers(name) for side in sides)
            difference = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
            same &= difference < TOLERANCE[name]
            runs = alternating([partial(side, name) for side in sides], repeats)
            seconds = [[s for s, _ in results] for results in runs]
            peaks = [max(peak for _, peak in results) for results in runs]
            _row(name, seconds[0], seconds[1], f"{peaks[0]:,.0f} / {peaks[1]:,.0f} MB", f"{difference:.0e}")
            medians[name] = [statistics.median(s) for s in seconds]
        if ARRAYS in medians and FRAME in medians:
            overheads = [100 * (f / a - 1) for f, a in zip(medians[FRAME], medians[ARRAYS], strict=True)]
            print(f"| DataFrame overhead | {overheads[0]:.0f} % | {overheads[1]:.0f} % |  |  |  |", flush=True)
    return same


def _row(name: str, ours: list[float], theirs: list[float], memory: str = "", difference: str = "") -> None:
    a, b = statistics.median(ours), statistics.median(theirs)
    print(f"| {name} | {a:.2f} s | {b:.2f} s | {b / a:.2f} × | {memory} | {difference} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="chronos-2", help="chronos-2, chronos-2-small or tiny")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES), metavar="CASE")
    parser.add_argument("--serve", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--cold", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.folder)
    elif options.cold:
        load(options.cold, options.folder).predict(walks(1, 1, 512), prediction_length=64)
    else:
        sys.exit(not compare(options.size, options.cases, options.repeats))


if __name__ == "__main__":
    main()
