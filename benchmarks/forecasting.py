"""Forecasts by this project and by the PyTorch reference, side by side on one machine.

    python benchmarks/forecasting.py --size chronos-2-small --repeats 5

Each side is one process with the same random weights; both stay, and repetitions alternate between them, so that what
else the machine does meets both. A first run of every case, which compiles, is not counted. Cold starts are processes
of their own. Needs the `test` extra.
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
from collections.abc import Callable
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


CASES: dict[str, Callable[[], Callable[[Any], object]]] = {
    "univariate, 256 × 512 → 64": lambda: _predict(walks(256, 1, 512), 64),
    "multivariate, 32 × 5 × 512 → 64": lambda: _predict(walks(32, 5, 512), 64),
    "2,000 ragged series → 24": lambda: _predict(ragged(), 24),
    "2,000 × 200 as arrays → 24": lambda: _predict(walks(2000, 1, 200), 24),
    "2,000 × 200 as DataFrame → 24": lambda: _predict_df(table(), 24),
    "one series of 512, 8,192 steps": lambda: _predict(walks(1, 1, 512), 8192),
}


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


def serve(side: str, folder: Path) -> None:
    """Answers each name of a case, a line of stdin, with seconds and peak memory in MB, a line of JSON."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the libraries print goes to stderr
    warnings.simplefilter("ignore")
    pipeline = load(side, folder)
    cases: dict[str, Callable[[Any], object]] = {}
    print(json.dumps("ready"), file=answers, flush=True)
    for line in sys.stdin:
        name = json.loads(line)
        run = cases.get(name) or cases.setdefault(name, CASES[name]())
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        start = time.perf_counter()
        run(pipeline)
        seconds = time.perf_counter() - start
        status = Path("/proc/self/status").read_text()
        peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
        print(json.dumps([seconds, peak]), file=answers, flush=True)


class Side:
    """A process that runs cases."""

    def __init__(self, side: str, folder: Path) -> None:
        command = [sys.executable, __file__, "--serve", side, "--folder", str(folder)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._read()

    def __call__(self, case: str) -> tuple[float, float]:
        """Seconds and peak memory in MB."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(case) + "\n")
        self.process.stdin.flush()
        return tuple(self._read())

    def _read(self) -> Any:
        assert self.process.stdout is not None
        if not (line := self.process.stdout.readline()):
            raise SystemExit(f"the side of process {self.process.pid} died")
        return json.loads(line)


COLD = "from start to the first forecast"


def cold_start(side: str, folder: Path, cache: str) -> float:
    """Seconds of a whole process: import, load, compile, forecast one series."""
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": cache}
    start = time.perf_counter()
    command = [sys.executable, __file__, "--cold", side, "--folder", str(folder)]
    subprocess.run(command, check=True, env=environment, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def compare(size: str, names: list[str], repeats: int) -> None:
    """Prints the table."""
    from safetensors.numpy import save_file

    from chronos_jax.chronos2.random_weights import SIZES, random_tensors

    print(f"{size}, random weights; {platform.machine()}, {os.cpu_count()} cores; medians of {repeats}\n")
    print("| case | chronos_jax | reference | ratio | peak memory |\n| --- | ---: | ---: | ---: | ---: |", flush=True)
    with tempfile.TemporaryDirectory() as room:
        folder = Path(room) / size
        folder.mkdir()
        save_file(random_tensors(SIZES[size], 0), folder / "model.safetensors", metadata={"format": "pt"})
        (folder / "config.json").write_text(json.dumps(SIZES[size].to_dict()))
        for label, warm in (("empty", False), ("filled", True)):
            caches = [f"{room}/cache"] * repeats if warm else [f"{room}/cache{i}" for i in range(repeats)]
            if warm:
                cold_start("chronos_jax", folder, caches[0])
            seconds = [[cold_start(side, folder, cache) for side in SIDES] for cache in caches]
            _row(f"{COLD}, compilation cache {label}", seconds, None)
        sides = [Side(side, folder) for side in SIDES]
        for name in names:
            for side in sides:
                side(name)
            runs = [[side(name) for side in sides] for _ in range(repeats)]
            _row(name, [[s for s, _ in run] for run in runs], [max(run[i][1] for run in runs) for i in (0, 1)])


def _row(name: str, seconds: list[list[float]], peaks: list[float] | None) -> None:
    ours, theirs = (statistics.median(run[i] for run in seconds) for i in (0, 1))
    memory = "" if peaks is None else f"{peaks[0]:,.0f} / {peaks[1]:,.0f} MB"
    print(f"| {name} | {ours:.2f} s | {theirs:.2f} s | {theirs / ours:.2f} × | {memory} |", flush=True)


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
        compare(options.size, options.cases, options.repeats)


if __name__ == "__main__":
    main()
