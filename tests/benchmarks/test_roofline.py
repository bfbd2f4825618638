"""Roofs from rates, cases from counts and seconds, and the page and picture that the command writes."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import roofline
from benchmarks.necessary_flops import embed_flops
from benchmarks.roofline import Compiled, Machine, Measured, compiled, draw, measured, tables
from chronos_jax.chronos2.random_weights import SIZES

POSITIONS = 1024 * 5 * 6  # four patches of history, REG and the patch of the future, whose share is embedded
CPU = Machine("CPU", 400e9, 8e9), [Measured("some", 25, 500, 300e9), Measured("other", 100, 200, 100e9)]
TPU = Machine("TPU v5e", 200e12, 1e12), [Compiled("a", 100, 400), Compiled("b", None, 50)]


def results(**cases: dict[str, Any]) -> dict[str, Any]:
    machine = {"machine": {"memory_gb_per_second": 7.0}, "seconds": {"chronos_jax": {"median": 2.0}}}
    return {"size": "tiny", "cases": {name: machine | case for name, case in cases.items()}}


def counts(moved: float, *names: str) -> dict[str, Any]:
    found = {f"bytes moved per position needed: {name}": moved for name in names}
    return {"compiled": found | {f"operations computed per operation needed: {name}": 1.5 for name in names}}


def side(flops: int, memory: int) -> dict[str, int]:
    return {"flops": flops, "memory_traffic": memory}


def test_below_the_ridge_memory_is_the_roof_and_above_it_the_product() -> None:
    machine = Machine("", product=100.0, copy=10.0)
    assert [machine.roof(intensity) for intensity in (1, 10, 1000)] == [10, 100, 100]


def test_operations_bytes_and_seconds_of_a_case_come_together() -> None:
    share = {"share": {"product_flops_per_second": 4e11}}
    machine, (case,) = measured(counts(1000.0, "embed-1024"), results(**{"embed-1024": share, "training": {}}))
    assert machine == ("CPU", 4e11, 7e9)
    operations = 1.5 * embed_flops(SIZES["tiny"], 1024, 5, 50)
    assert case.reached == operations / 2
    assert case.counted == operations / (1000 * POSITIONS)
    assert case.weights > 0


def test_what_was_not_counted_or_not_measured_is_left_out() -> None:
    share = {"share": {"product_flops_per_second": 4e11}}
    _, cases = measured(counts(1.0, "embed-1024", "long-context"), results(**{"embed-1024": share, "multivariate": {}}))
    assert len(cases) == 1


@pytest.mark.parametrize(("case", "counted"), [({}, "embed-1024"), ({"share": {"product_flops_per_second": 1.0}}, "x")])
def test_no_rate_or_no_case_is_an_error(case: dict[str, Any], counted: str) -> None:
    with pytest.raises(ValueError, match="measure embed-1024 and forecast-256"):
        measured(counts(1.0, counted), results(**{"embed-1024": case}))


def test_programs_for_a_chip_are_held_against_its_main_memory() -> None:
    work = {"groups": 16, "variates": 5, "steps": 50, "horizon": None}
    case = {"work": work, "topology": "v5e:2x4", "plain": side(800, 8), "ours": side(800, 2)}
    absent = case | {"plain": None}
    chip, cases = compiled({"a": case, "b": absent, "c": case | {"ours": None}})
    assert chip == ("TPU v5e", 197e12, 819e9)
    assert cases == [("embed, 16 × 5 × 50", 100, 400), ("embed, 16 × 5 × 50", None, 400)]
    with pytest.raises(ValueError, match=r"compiled for v5e, v9: known are the rates of v5e"):
        compiled({"a": case, "b": case | {"topology": "v9:2x2"}})


def test_the_tables_tell_what_was_reached_of_the_higher_roof() -> None:
    lines = tables(CPU, TPU).splitlines()
    assert "| some | 25 … 500 | 200 … 400 | 300 | 75% |" in lines
    assert "| other | 100 … 200 | 400 | 100 | 25% |" in lines
    assert "400 GFLOP/s over 8.0 GB/s: 50 operations a byte." in lines
    assert "| a | 100 → 400 | 100 → 200 |" in lines
    assert "| b | does not fit → 50 | – → 50 |" in lines


def test_the_picture_is_the_same_for_the_same_numbers(tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        draw(tmp_path / name, CPU, TPU)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert "some" in (tmp_path / "one.svg").read_text()


def test_the_command_writes_what_is_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page in the checkout is what the files in the checkout say."""
    page = tmp_path / "page.md"
    page.write_text("<!-- roofline: written by benchmarks.roofline --write -->\n<!-- /roofline -->\n")
    monkeypatch.setattr(roofline, "PICTURE", tmp_path / "roofline.svg")
    kept = roofline.PAGE.read_text()
    monkeypatch.setattr(roofline, "PAGE", page)
    monkeypatch.setattr("sys.argv", ["roofline", "--write"])
    roofline.main()
    assert page.read_text() in kept
    assert (tmp_path / "roofline.svg").stat().st_size > 10_000


def test_files_that_do_not_fit_are_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("counts.json", "tpu_traffic.json"):
        (tmp_path / name).write_text(json.dumps(counts(1.0)))
    monkeypatch.setattr(roofline, "RESULTS", tmp_path)
    monkeypatch.setattr("sys.argv", ["roofline"])
    with pytest.raises(SystemExit):
        roofline.main()
