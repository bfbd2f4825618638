import time
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from chronos_jax.sharding import make_mesh
from train import throughput
from train.chips import Chip
from train.throughput import Throughput, Trace


def test_means_are_those_since_the_last_look(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    monkeypatch.setattr(throughput, "chip_of", lambda kind: Chip("a chip", 1000.0, 1, 1.0))
    measure = Throughput(make_mesh(), batch_size=32, flops=400)
    measure.start(10)
    with measure.waiting():
        now += 1
    now += 3
    numbers = measure.numbers(12)
    assert numbers["step_time"] == 2
    assert numbers["input_wait"] == 0.5
    assert numbers["windows_per_second"] == 16
    assert numbers["windows_per_second_per_chip"] == 2
    assert numbers["utilisation"] == pytest.approx(400 / 2 / 8000)
    assert 10 * 2**20 < numbers["host_memory"] < 2**40
    measure.start(12)
    now += 5
    assert measure.numbers(13)["step_time"] == 5
    assert measure.numbers(13)["input_wait"] == 0


def test_a_device_of_unknown_peak_has_no_utilisation() -> None:
    measure = Throughput(make_mesh(), batch_size=32, flops=400)
    assert "utilisation" not in measure.numbers(1)


@pytest.mark.parametrize("last", [8, 5])
def test_a_trace_shows_some_steps_and_is_whole_where_the_run_ends_before(tmp_path: Path, last: int) -> None:
    trace = Trace(tmp_path / "profile", resumed_from=0)
    for step in range(1, last + 1):
        trace.before(step)
        trace.after(step, jax.jit(lambda x: x + 1)(jnp.zeros(3)), last=step == last)
    assert [path.suffix for path in tmp_path.rglob("*.xplane.pb")] == [".pb"]


def test_there_is_no_trace_unless_asked_for(tmp_path: Path) -> None:
    trace = Trace(None, resumed_from=0)
    for step in range(1, 10):
        trace.before(step)
        trace.after(step, None, last=False)
    assert not list(tmp_path.iterdir())
