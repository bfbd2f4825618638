"""Ratios of what is computed to what is needed, on the smallest model."""

from benchmarks.counts.plans import plan
from benchmarks.counts.programs import operations, padding
from benchmarks.side_by_side.cases import CASES
from chronos_jax.chronos2.random_weights import SIZES

TINY = SIZES["tiny"]


def test_windows_of_equal_length_need_no_padding_and_large_groups_some() -> None:
    """1,024 windows of 5 × 50: full batches, and what is left over."""
    found = padding(TINY, ("embed-1024", "cross-learning"))
    for device in ("CPU", "GPU"):
        assert found[f"{device}, positions computed per position needed: embed-1024"] == 1
        assert 1 <= found[f"{device}, positions computed per position needed: cross-learning"] < 1.5
        assert 1 <= found[f"{device}, shapes to compile: embed-1024"] <= 3
    assert len(found) == 8


def test_accelerators_have_larger_batches() -> None:
    call = CASES["embed-1024"].make()
    on_cpu, elsewhere = (plan(call, TINY, on_cpu=on_cpu).batches for on_cpu in (True, False))
    assert len(on_cpu) > len(elsewhere)


def test_operations_and_bytes_of_a_whole_case() -> None:
    """Bytes: at least each position's stream, written and read once a layer."""
    found = operations(TINY, ("long-context",))
    assert 0.7 < found["operations computed per operation needed: long-context"] < 1.5
    assert found["bytes moved per position needed: long-context"] > TINY.num_layers * 2 * 4 * TINY.d_model
