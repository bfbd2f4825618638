"""Runs of `python -m train` in processes of their own that start at once: forks of one that has everything imported.

`Runs` is what tests use. This file is also the program that is forked from: it reads one JSON object per line, forks a
child that runs the command, answers with its number, and answers again when it has ended.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Run:
    """One process of a run.

    Attributes:
        pid: Its number.
        output: File with everything that it printed.
    """

    def __init__(self, runs: "Runs", pid: int, output: Path) -> None:
        self._runs, self.pid, self.output = runs, pid, output

    @property
    def code(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        return self._runs.ended().get(self.pid)

    def send(self, number: signal.Signals) -> None:
        """Sends a signal, unless it has ended."""
        if self.code is None:
            os.kill(self.pid, number)

    def wait(self, seconds: float = 180) -> int:
        """Its exit code, when it has ended."""
        deadline = time.monotonic() + seconds
        while (code := self.code) is None:
            assert time.monotonic() < deadline, f"still running after {seconds} s:\n{self.output.read_text()}"
            time.sleep(0.01)
        return code


class Runs:
    """Starts runs; a context manager, at whose end none is left."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ended: dict[int, int] = {}
        self._started = 0

    def __enter__(self) -> "Runs":
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            cwd=ROOT,
            env=os.environ
            | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._server.stdout is not None
        os.set_blocking(self._server.stdout.fileno(), False)
        self._unread = b""
        self._pids: list[int] = []
        return self

    def __exit__(self, *_: object) -> None:
        for pid in set(self._pids) - set(self.ended()):
            os.kill(pid, signal.SIGKILL)
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()
        assert self._server.stdout is not None
        self._server.stdout.close()

    def start(self, arguments: list[str], *, devices: int, environment: dict[str, str] | None = None) -> Run:
        """Starts the command with so many CPU devices."""
        self._started += 1
        output = self._folder / f"output-{self._started}.txt"
        order = {
            "arguments": arguments,
            "devices": devices,
            "environment": environment or {},
            "output": str(output),
        }
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(order).encode() + b"\n")
        self._server.stdin.flush()
        before = len(self._pids)
        while len(self._pids) == before:
            assert self._server.poll() is None, "the server of forks has ended"
            self._read()
            time.sleep(0.005)
        return Run(self, self._pids[-1], output)

    def ended(self) -> dict[int, int]:
        """Exit codes of the processes that have ended."""
        self._read()
        return self._ended

    def _read(self) -> None:
        assert self._server.stdout is not None
        while chunk := self._server.stdout.read():
            self._unread += chunk
        *lines, self._unread = self._unread.split(b"\n")
        for line in lines:
            word, pid, *code = line.decode().split()
            if word == "started":
                self._pids.append(int(pid))
            else:
                self._ended[int(pid)] = int(code[0])


def _serve() -> None:
    import select

    import train.__main__
    import train.evaluation.comparison
    import train.evaluation.pictures  # noqa: F401

    answers = os.fdopen(os.dup(1), "w", buffering=1)
    unread, children = b"", set[int]()
    while True:
        readable, _, _ = select.select([0], [], [], 0.01)
        if readable:
            chunk = os.read(0, 65536)
            if not chunk:
                return
            unread += chunk
            *lines, unread = unread.split(b"\n")
            for line in lines:
                if not (pid := os.fork()):
                    answers.close()
                    _child(json.loads(line))
                children.add(pid)
                answers.write(f"started {pid}\n")
        for pid in list(children):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                children.remove(pid)
                answers.write(f"ended {pid} {os.waitstatus_to_exitcode(status)}\n")


def _child(order: dict) -> None:
    import traceback

    code = 1
    try:
        output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ |= order["environment"]
        import jax

        from train import processes
        from train.__main__ import become_a_command, main

        jax.config.update("jax_num_cpu_devices", order["devices"])
        jax.config.update("jax_default_matmul_precision", "highest")
        processes.LOST_AFTER_S = 5  # a lost process is noticed sooner
        become_a_command()
        code = main(order["arguments"])
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _serve()
