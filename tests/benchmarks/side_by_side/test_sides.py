"""Processes of a side."""

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.side_by_side.loading import Setting, environment
from benchmarks.side_by_side.serving import LEAST_SECONDS, numbers
from benchmarks.side_by_side.sides import Served, SideError, timed_process


def test_a_side_that_fails_shows_its_log_and_leaves_no_process(tmp_path: Path) -> None:
    setting = Setting(tmp_path / "no-such-checkpoint", "cpu", "float32")
    with pytest.raises(SideError, match=r"(?s)chronos_jax ended too early:.*no-such-checkpoint"):
        Served("chronos_jax", "embed-64", setting, tmp_path)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_process_that_fails_shows_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; print('all is lost'); sys.exit(3)"]
    with pytest.raises(SideError, match=r"(?s)exit code 3:\nall is lost"):
        timed_process(command, dict(os.environ), tmp_path / "log")


def test_a_process_is_timed_by_a_clock_that_it_shares(tmp_path: Path) -> None:
    file = tmp_path / "at"
    command = [sys.executable, "-c", f"import time; open({str(file)!r}, 'w').write(str(time.monotonic()))"]
    before = time.monotonic()
    start, end, others = timed_process(command, dict(os.environ), tmp_path / "log")
    assert before <= start < float(file.read_text()) < end <= time.monotonic()
    assert 0 <= others <= 1


def test_a_small_call_is_repeated_until_it_can_be_timed(tmp_path: Path, tiny_checkpoint: Path) -> None:
    with Served("chronos_jax", "embed-64", Setting(tiny_checkpoint, "cpu", "float32"), tmp_path) as served:
        assert served.threads == len(os.sched_getaffinity(0))
        served.warm_up(save=True)
        assert served.answer().shape == (64 * 5 * 6 * 32,)
        found = served.measure()
    assert found["calls"] > 1
    assert found["seconds"] * found["calls"] >= LEAST_SECONDS
    assert 0 < found["least_seconds"] <= found["seconds"]
    assert found["cpu_seconds"] > 0
    assert 50 < found["peak_mb"] < 5000
    assert 0 <= found["others"] <= 1


def test_both_sides_are_put_on_the_same_device_with_equal_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/elsewhere")
    cpu, gpu = environment("cpu", "float32"), environment("gpu", "bfloat16")
    assert (cpu["JAX_PLATFORMS"], cpu["CUDA_VISIBLE_DEVICES"], gpu["JAX_PLATFORMS"]) == ("cpu", "", "cuda")
    assert cpu["JAX_DEFAULT_MATMUL_PRECISION"] == "highest"
    assert gpu["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    assert "JAX_COMPILATION_CACHE_DIR" not in cpu


def test_numbers_of_embeddings_are_without_levels_and_scales() -> None:
    embeddings, loc_scale = [np.ones((2, 3, 4), np.float32)] * 2, [(np.zeros((2, 1)), np.zeros((2, 1)))] * 2
    assert (numbers((embeddings, loc_scale)) == np.ones(48)).all()
