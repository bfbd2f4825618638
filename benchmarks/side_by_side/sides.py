"""Processes of the two sides, as the one that measures sees them."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from benchmarks.side_by_side.disturbance import processors, taken_by_others
from benchmarks.side_by_side.loading import Setting, SideName, environment

ROOT = Path(__file__).parents[2]
LOG_LINES = 15


class SideError(RuntimeError):
    """A process of a side has ended too early; the message has the end of its log."""


def module(name: str, *arguments: object) -> list[str]:
    """The command line of a module of this package."""
    return [sys.executable, "-m", f"benchmarks.side_by_side.{name}", *map(str, arguments)]


class Served:
    """A process that has one side's pipeline and runs one call of a case. A context: the process ends with it.

    Attributes:
        name: Of the side or, where our side runs another call, of that call.
        threads: That it computes with on a CPU.
    """

    def __init__(self, side: SideName, case: str, setting: Setting, room: Path, call: str | None = None) -> None:
        """Starts the process and waits until its pipeline is loaded.

        Args:
            side: Which.
            case: Key of `cases.CASES`.
            setting: Of all cases.
            room: Folder for its log and its answer.
            call: One of the case's `ours_too`; by default the case's own.

        Raises:
            SideError: It did not come so far.
        """
        self.name = call or side
        self._log, self._answer = room / f"{self.name}.log", room / f"{self.name}.npy"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                module("serving", side, case, call or "", *setting),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=ROOT,
                env=environment(setting.device, setting.dtype),
            )
        try:
            self.threads: int = self._read()["threads"]
        except BaseException:
            self._end()
            raise

    def warm_up(self, save: bool) -> float:
        """Runs the call once, with whatever compiling it takes, and perhaps keeps its numbers; seconds."""
        return self._ask({"save": str(self._answer) if save else None})["seconds"]

    def answer(self) -> np.ndarray:
        """The numbers that the warm-up kept."""
        return np.load(self._answer)

    def measure(self) -> dict[str, Any]:
        """One measurement, as `serving.measure`."""
        return self._ask({})

    def __enter__(self) -> "Served":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def _ask(self, order: Mapping[str, object]) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended: what it left to say is in its log
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        if not (line := self._process.stdout.readline()):
            code = self._process.wait()
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise SideError(f"{self.name} ended too early: it {how}\n{last_lines(self._log)}")
        return json.loads(line)

    def _end(self) -> None:
        self._process.kill()
        self._process.communicate()


class Times(NamedTuple):
    """When a process was started and when it had ended, by `time.monotonic`, which is one clock for all processes.

    And the share of the machine's processors that others took meanwhile.
    """

    start: float
    end: float
    others: float


def timed_process(command: Sequence[str], env: Mapping[str, str], log: Path) -> Times:
    """Runs a process from its start to its end.

    Args:
        command: Of the process, which runs in the root of the repository.
        env: Its environment.
        log: File for all that it prints.

    Raises:
        SideError: Its exit code was not 0.
    """
    with log.open("w") as out:
        before, own, start = processors(), _seconds_of_children(), time.monotonic()
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=ROOT, env=env)
        end = time.monotonic()
    others = taken_by_others(before, _seconds_of_children() - own)
    if done.returncode:
        raise SideError(f"{' '.join(command[1:])} ended with exit code {done.returncode}:\n{last_lines(log)}")
    return Times(start, end, others)


def _seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def last_lines(log: Path) -> str:
    """The end of a log."""
    return "\n".join(log.read_text().splitlines()[-LOG_LINES:])
