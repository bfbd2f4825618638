"""The rate of memory is that of memory: nothing is mapped while it is measured."""

import resource
from typing import Any

import jax
import pytest

from benchmarks.side_by_side import machine


def test_a_copy_goes_into_pages_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    jit, faults, calls = jax.jit, [0], [0]

    def counted(*arguments: Any, **options: Any) -> Any:
        compiled = jit(*arguments, **options)

        def call(*inputs: Any) -> Any:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            result = compiled(*inputs).block_until_ready()
            calls[0] += 1
            if calls[0] > 1:  # the first is not measured
                faults[0] += resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
            return result

        return call

    monkeypatch.setattr(jax, "jit", counted)
    assert machine.copy_rate() > 1e9
    assert calls[0] == 6
    assert faults[0] < machine.COPIED_BYTES / 4096 / 10
