import pytest

from benchmarks.side_by_side.cases import CASES, Case, Targets
from benchmarks.side_by_side.measuring import Run, Runs
from benchmarks.side_by_side.outcome import outcome, tolerance
from benchmarks.side_by_side.product import product_flops


def _run(seconds: float, peak_mb: float = 100.0) -> Run:
    return {"seconds": seconds, "least_seconds": seconds, "peak_mb": peak_mb, "others": 0.25}


RUNS: Runs = {
    "chronos_jax": [_run(2.0), _run(2.2), _run(2.1)],
    "reference": [_run(6.0, 200.0), _run(6.6, 200.0), _run(6.3, 200.0)],
    "arrays": [_run(2.0), _run(2.0), _run(2.0)],
    "product": [_run(0.5), _run(0.4), _run(0.6)],
    "reference product": [_run(0.9), _run(0.8), _run(1.0)],
}
CASE = Case(
    "a case",
    ratio=Targets(3, 3.5),
    memory=Targets(0.5, 0.4),
    share=Targets(0.5, 0.9),
    overhead=Targets(0.05, 0.01),
)


def test_what_measurements_come_to() -> None:
    flops = product_flops("cpu")
    told = outcome(CASE, RUNS, "cpu", "float32", flops)
    assert told["seconds"]["chronos_jax"] == {"median": 2.1, "least": 2.0}
    assert told["ratio"] == {
        "value": pytest.approx(3),
        "lowest": pytest.approx(3),
        "highest": pytest.approx(3),
        "target": 3,
        "reached": True,
    }
    assert (told["memory"]["value"], told["memory"]["reached"]) == (0.5, True)
    assert (told["overhead"]["value"], told["overhead"]["reached"]) == (pytest.approx(0.05), False)
    assert told["others"] == 0.25
    # A product takes 0.4 s at best, what is as much work takes 2.1 s.
    assert told["share"]["value"] == pytest.approx(0.4 / 2.1)
    assert told["reference_share"]["value"] == pytest.approx(0.8 / 6.3)
    assert told["reference_share"]["target"] is None
    assert (told["share"]["reached"], told["share"]["product_flops_per_second"]) == (False, flops / 0.4)


@pytest.mark.parametrize(
    ("device", "dtype", "target", "reached"),
    [("cpu", "bfloat16", None, None), ("gpu", "float32", None, None), ("gpu", "bfloat16", 3.5, False)],
)
def test_targets_are_of_one_type_on_each_device(device: str, dtype: str, target: float, reached: bool) -> None:
    found = outcome(CASE, RUNS, device, dtype, None)["ratio"]  # type: ignore[arg-type]
    assert (found["target"], found["reached"]) == (target, reached)


def test_the_reference_under_torch_compile_has_a_ratio_of_its_own() -> None:
    runs = {**RUNS, "reference_compiled": [_run(4.2), _run(4.2), _run(4.2)]}
    assert outcome(CASE, runs, "cpu", "float32", None)["ratio_compiled"]["value"] == pytest.approx(2)


def test_every_case_has_a_tolerance_of_rounding() -> None:
    assert {tolerance(case, "float32") for case in CASES.values()} == {1e-4, 1e-3}
    assert {tolerance(case, "bfloat16") for case in CASES.values()} == {0.1}
