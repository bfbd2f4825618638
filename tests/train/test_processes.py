import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from train.processes import connect, on_first, stop_requests

ROOT = Path(__file__).parents[2]

TOGETHER = r"""
import sys
import jax
from train.processes import Stopped, connect, on_first, same_number, together
connect()
def say(*words):
    print(">>", *words, file=sys.stderr, flush=True)
def fail(error):
    raise error
def heard(work):
    try:
        say("returned", work())
    except Exception as error:
        say(f"{type(error).__name__}: {error}"[:80])
me = jax.process_index()
say("processes", jax.process_count(), "devices", len(jax.devices()))
say("number", same_number())
heard(lambda: on_first(lambda: say("worked")))
heard(lambda: on_first(lambda: fail(FileNotFoundError("nothing at /there: Müll"))))
heard(lambda: together(lambda: 10 + me))
heard(lambda: together(lambda: fail(ValueError("\U0001f600" * 9000)) if me else None))
heard(lambda: together(lambda: b"\xff".decode() if me else fail(Stopped("stopped"))))
heard(lambda: together(lambda: None if me else fail(Stopped("asked to"))))
"""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_processes_find_each_other_and_share_the_failure_of_the_first() -> None:
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "JAX_NUM_CPU_DEVICES": "2",
        "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{free_port()}",
        "JAX_NUM_PROCESSES": "2",
    }
    started = [
        subprocess.Popen(
            [sys.executable, "-c", TOGETHER],
            cwd=ROOT,
            env=environment | {"JAX_PROCESS_ID": str(number)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    shown = [process.communicate(timeout=120)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], shown
    lines = [[line[3:] for line in text.splitlines() if line.startswith(">> ")] for text in shown]
    assert lines[0][1] == lines[1][1]
    for number, mine in enumerate(lines):
        expected = [
            "processes 2 devices 4",
            *(["worked"] if number == 0 else []),
            "returned None",
            "FileNotFoundError: nothing at /there: Müll",
            f"returned {10 + number}",
            "ValueError: " + "\U0001f600" * 68,
            "Unicode" * number,
            "Stopped: asked to",
        ]
        del mine[1]
        assert mine[-2].startswith(("ValueError", "UnicodeDecodeError")[number] + ": 'utf-8' codec")
        mine[-2] = expected[-2]
        assert mine == expected


@pytest.mark.parametrize(
    ("arguments", "environment", "complaint"),
    [
        ((None, 2, 0), {}, "JAX_COORDINATOR_ADDRESS missing"),
        ((None, None, None), {"JAX_PROCESS_ID": "1"}, "JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES missing"),
        (("127.0.0.1:1", 2, 2), {}, "process 2 of 2: processes are numbered from 0 to 1"),
        (("127.0.0.1:1", None, 0), {"JAX_NUM_PROCESSES": "two"}, "JAX_NUM_PROCESSES must be a number, got 'two'"),
    ],
)
def test_half_an_address_is_an_error(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple, environment: dict[str, str], complaint: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=complaint):
        connect(*arguments)


def test_alone_nothing_needs_to_be_said() -> None:
    connect()
    done = []
    on_first(lambda: done.append(1))
    assert done == [1]
    with pytest.raises(ValueError, match="mine"):
        on_first(lambda: int("mine"))


def test_a_request_to_stop_is_remembered_and_the_handler_goes() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_requests() as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop()
    assert signal.getsignal(signal.SIGTERM) == before
