"""Conversions of the published size, each in a process of its own whose memory is measured."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from reference import write_random_checkpoint
from text_models import BERTS, write_bert

from chronos_jax.chronos2.config import Chronos2Config

pytestmark = pytest.mark.full_size

# Not getrusage: its maximum includes what this process occupied when it started the other.
SCRIPT = """
import re, runpy
try:
    runpy.run_module("convert", run_name="__main__", alter_sys=True)
finally:
    print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
"""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_checkpoint(tmp_path_factory.mktemp("full") / "published", Chronos2Config())


@pytest.fixture(scope="module")
def gte_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bert(tmp_path_factory.mktemp("full") / "published", BERTS["gte-base"])


def peak_memory(*arguments: str | Path) -> int:
    """Most memory that a conversion occupied, in bytes: all of its process, libraries included."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, arguments)], check=True, capture_output=True, text=True
    )
    return int(done.stdout) * 1024


def same_bytes(one: Path, other: Path) -> bool:
    with one.open("rb") as a, other.open("rb") as b:
        return all(x == b.read(1 << 20) for x in iter(lambda: a.read(1 << 20), b"")) and not b.read(1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is measured by Linux' /proc")
@pytest.mark.parametrize("size", ["published", "gte_base"])
def test_a_round_trip_is_bit_identical_and_needs_at_most_one_and_a_half_times_the_checkpoint(
    size: str, request: pytest.FixtureRequest, tmp_path: Path
):
    published = request.getfixturevalue(size)
    stored = (published / "model.safetensors").stat().st_size
    peaks = {
        "to-orbax": peak_memory("to-orbax", published, tmp_path / "orbax"),
        "to-safetensors": peak_memory("to-safetensors", tmp_path / "orbax", tmp_path / "again"),
    }
    assert {command: round(peak / stored, 2) for command, peak in peaks.items() if peak > 1.5 * stored} == {}
    assert same_bytes(published / "model.safetensors", tmp_path / "again/model.safetensors")


# A shell starts its background jobs with SIGINT ignored, children inherit that, and Python then leaves it so.
HEARING_SIGINT = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('convert', run_name='__main__')"
)


def test_ctrl_c_leaves_nothing(published: Path, tmp_path: Path):
    command = [sys.executable, "-c", HEARING_SIGINT, "to-orbax", str(published), str(tmp_path / "made")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not any(tmp_path.glob(".made.*.partial/params*")):
            assert process.poll() is None, "ended before it could be interrupted"
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGINT)
        _, message = process.communicate(timeout=120)
    assert process.returncode == 130
    assert message.splitlines()[-1] == "interrupted; nothing was written"
    assert list(tmp_path.iterdir()) == []
