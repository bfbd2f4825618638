"""Several processes that train together: how they find each other, wait for each other, and end together."""

import json
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

Result = TypeVar("Result")

MESSAGE_BYTES = 16384  # room for what a process tells the others
VARIABLES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
FOUND_WITHIN_S = 300  # machines of a pod do not all start in the same minute
LOST_AFTER_S = 30  # a process that has not been heard of for so long is lost, and the others end
LEAVES_WITHIN_S = 60  # at the end of a run all wait so long for each other


class Stopped(Exception):  # noqa: N818 - not an error: the run was asked to end, and can be resumed
    """The run ended because it was asked to (SIGTERM); started again, it goes on."""


# Failures that keep their type in the other processes, the special before the general.
TOLD = (Stopped, FileNotFoundError, FileExistsError, PermissionError, OSError, ImportError, ValueError, RuntimeError)


def connect(coordinator: str | None = None, processes: int | None = None, process: int | None = None) -> None:
    """Joins the processes of a run; comes before anything else that asks for a device.

    Without arguments the environment says who belongs together: `JAX_COORDINATOR_ADDRESS`, `JAX_NUM_PROCESSES` and
    `JAX_PROCESS_ID`, or what a TPU pod slice, SLURM and others that JAX knows set by themselves. Where nothing says
    anything, this process is alone.

    Args:
        coordinator: "host:port" at which process 0 listens.
        processes: How many processes there are.
        process: Which of them this one is, from 0.

    Raises:
        ValueError: Only some of the three are given, or they contradict each other.
        RuntimeError: The other processes were not found within five minutes, or process 0 runs already.
    """
    if jax.distributed.is_initialized():
        return
    values = [
        os.environ.get(name) if given is None else given
        for name, given in zip(VARIABLES, (coordinator, processes, process), strict=True)
    ]
    if any(value is not None for value in values):
        if missing := [name for name, value in zip(VARIABLES, values, strict=True) if value is None]:
            raise ValueError(f"several processes need all of {', '.join(VARIABLES)}: {', '.join(missing)} missing")
        count, number = _number(VARIABLES[1], values[1]), _number(VARIABLES[2], values[2])
        if not 0 <= number < count:
            raise ValueError(f"process {number} of {count}: processes are numbered from 0 to {count - 1}")
        address = str(values[0])
        host, _, port = address.rpartition(":")
        if not (host and port.isdecimal()):
            raise ValueError(f"{VARIABLES[0]} must be HOST:PORT, got {address!r}")
        if number == 0:
            _check_free(int(port))
        _find_others(address, count, number, cluster_detection_method="deactivate")
        return
    try:
        _find_others()
    except ValueError as error:
        if "should be defined" not in str(error):
            raise
    except RuntimeError as error:
        # A program that has used JAX before it calls this has decided for itself.
        if "before" not in str(error):
            raise


def _check_free(port: int) -> None:
    """Two that both listen at this port would each get some of the others, which JAX does not notice."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("", port))
        except OSError as error:
            raise RuntimeError(
                f"process 0 cannot listen at port {port} ({error.strerror}): another process has that number, or an "
                "earlier run is still ending, or the port belongs to something else"
            ) from error


def _find_others(*place: Any, **options: Any) -> None:
    # JAX ends the program with a stack trace where they do not come in time. So it waits longer than we do, and aside.
    options |= {"initialization_timeout": 2 * FOUND_WITHIN_S, "heartbeat_timeout_seconds": LOST_AFTER_S}
    options |= {"shutdown_timeout_seconds": LEAVES_WITHIN_S}
    failures: list[Exception] = []

    def find() -> None:
        try:
            jax.distributed.initialize(*place, **options)
        except Exception as error:
            failures.append(error)

    finding = threading.Thread(target=find, daemon=True)
    finding.start()
    finding.join(FOUND_WITHIN_S)
    if failures:
        raise failures[0]
    if finding.is_alive():
        me = "process {2} of {1}, with process 0 at {0}, ".format(*place) if place else "this process "
        raise RuntimeError(
            f"{me}has not found the others within {FOUND_WITHIN_S} s: start all of them, each with a number of its "
            "own, with the same address of process 0, which all must be able to reach"
        )


def together(work: Callable[[], Result]) -> Result:
    """Work that every process does for itself; all return when the last is done. What fails in one fails in all.

    Raises:
        Exception: What `work` raises; in the other processes one of the types in `TOLD`, with the same message. Where
            some were stopped and others failed, the failure counts.
    """
    if jax.process_count() == 1:
        return work()
    failure: Exception | None = None
    try:
        result = work()
    except Exception as error:
        failure = error
    told = np.frombuffer(_in_bytes(failure), np.uint8)
    heard = [json.loads(bytes(row)) for row in np.asarray(multihost_utils.process_allgather(told))]
    failures = [(name, message) for name, message in filter(None, heard) if name != Stopped.__name__]
    if failure is not None and not (failures and isinstance(failure, Stopped)):
        raise failure
    for name, message in failures or filter(None, heard):
        raise next(kind for kind in TOLD if kind.__name__ == name)(message)
    return result


def same_number() -> int:
    """A random number, the same in all processes."""
    return int(multihost_utils.broadcast_one_to_all(np.int32(secrets.randbits(31))))


def on_first(work: Callable[[], object]) -> None:
    """Work that the first process does while the others wait for it; its failure is everybody's.

    Raises:
        Exception: As `together`.
    """
    together(lambda: work() if jax.process_index() == 0 else None)


def _in_bytes(failure: Exception | None) -> bytes:
    told = None
    if failure is not None:
        kind = next((kind for kind in TOLD if isinstance(failure, kind)), RuntimeError)
        told = kind.__name__, str(failure)[: MESSAGE_BYTES // 12 - 8]  # of which JSON makes twelve bytes a character
    return json.dumps(told).encode().ljust(MESSAGE_BYTES)


def leave(code: int) -> None:
    """Ends this process, where it is one of several, without waiting for the others, which may wait for it.

    They notice: at once where they talk to it, or in `LOST_AFTER_S`. Alone, this returns.
    """
    if jax.process_count() == 1:
        return
    sys.stdout.flush()
    sys.stderr.flush()
    if jax.process_index() == 0:
        time.sleep(2)  # all end with the first, so those that fail likewise may say why
    os._exit(code)


def say(message: str) -> None:
    """One line for whoever watches the run: on stderr, from the first process."""
    if jax.process_index() == 0:
        print(message, file=sys.stderr, flush=True)


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Within, SIGTERM does not end this process: the function given answers True from then on."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True

    if threading.current_thread() is not threading.main_thread():  # which alone may handle signals
        yield lambda: False
        return
    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGTERM, before)


def _number(name: str, value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise ValueError(f"{name} must be a number, got {value!r}") from None
