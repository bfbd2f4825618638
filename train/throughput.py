"""How fast a run is, and how well it uses its chips."""

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from train.chips import chip_of

KILO = 1 if sys.platform == "darwin" else 1024  # macOS counts peak memory in bytes, Linux in kilobytes

# Steps of a run, counted from where it was taken up, that a trace shows: compilation is over by then.
TRACED = range(4, 9)


class Throughput:
    """Measures steps between two looks at them.

    Args:
        mesh: What the steps run on.
        batch_size: Windows per step, over all devices.
        flops: Model FLOPs per step, over all devices (`train.flops`).
    """

    def __init__(self, mesh: Mesh, batch_size: int, flops: int) -> None:
        self._devices, self._batch_size, self._flops = mesh.devices.size, batch_size, flops
        self._chip = chip_of(mesh.devices.flat[0].device_kind)
        self.start(0)

    def start(self, step: int) -> None:
        """Measures from here, after `step` steps."""
        self._step, self._since, self._waited = step, time.perf_counter(), 0.0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Within, the devices may be idle because the next batch is not there."""
        before = time.perf_counter()
        yield
        self._waited += time.perf_counter() - before

    def numbers(self, step: int) -> dict[str, float]:
        """Means per step since `start`, of steps whose results are there.

        step_time and input_wait (waiting for the next batch) in seconds; windows_per_second, and per chip; utilisation:
        model FLOPs of a step as a share of what the chips' data sheets promise in bfloat16, where the chip is known;
        host_memory and device_memory: bytes, the most so far of this process and of its first device where that tells.
        """
        steps = step - self._step
        seconds = (time.perf_counter() - self._since) / steps
        windows = self._batch_size / seconds
        numbers = {
            "step_time": seconds,
            "input_wait": self._waited / steps,
            "windows_per_second": windows,
            "windows_per_second_per_chip": windows / self._devices,
            "host_memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KILO,
        }
        if self._chip is not None:
            numbers["utilisation"] = self._flops / seconds / (self._chip.flops * self._devices)
        if memory := jax.local_devices()[0].memory_stats():
            numbers["device_memory"] = memory["peak_bytes_in_use"]
        return numbers


class Trace:
    """Writes an XProf trace of a few steps (`TRACED`), or of none where there is no folder for it."""

    def __init__(self, folder: Path | None, resumed_from: int) -> None:
        self._folder = folder
        self._steps = range(resumed_from + TRACED.start, resumed_from + TRACED.stop)
        self._running = False

    def before(self, step: int) -> None:
        """Called before every step."""
        if self._folder is not None and step == self._steps.start:
            jax.profiler.start_trace(self._folder)
            self._running = True

    def after(self, step: int, results: Any, *, last: bool) -> None:
        """Called after every step, with what it computes; `last` where no other follows."""
        if self._running and (last or step == self._steps[-1]):
            jax.block_until_ready(results)
            jax.profiler.stop_trace()
            self._running = False
