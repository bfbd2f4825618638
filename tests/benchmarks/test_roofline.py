"""Roofs from rates, cases from counts and seconds, and the page and picture that the command writes."""

import html
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import roofline
from benchmarks.necessary_flops import embed_flops, forecast_flops
from benchmarks.roofline import Compiled, Machine, Measured, Side, compiled, measured, picture, tables
from chronos_jax.chronos2.random_weights import SIZES

CPU = [
    Measured("some", Machine(400e9, 8e9), 25, 150e9, 100e9, 200e9),
    Measured("b", Machine(500e9, 8e9), 90, 3e11, 0, 0),
]
TPU = "v5e", Machine(200e12, 1e12), [Compiled("a", Side(100, 4e-3), Side(400, 2e-3)), Compiled("b", None, Side(50, 1))]


def result(command: str, memory: float | None, *seconds: float, product: float | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "command": command,
        "machine": {} if memory is None else {"memory_gb_per_second": memory},
        "seconds": {"chronos_jax": {"median": seconds[0]}},
        "runs": {"chronos_jax": [{"seconds": one} for one in seconds]},
    }
    return found if product is None else found | {"share": {"product_flops_per_second": product}}


def counts(**moved: float) -> dict[str, Any]:
    return {"compiled": {f"bytes moved per position needed: {name}": number for name, number in moved.items()}}


def read(cases: dict[str, Any]) -> dict[str, Any]:
    return {"size": "tiny", "cases": cases}


def test_below_the_ridge_memory_is_the_roof_and_above_it_the_product() -> None:
    machine = Machine(product=100.0, memory=10.0)
    assert machine.ridge == 10
    assert [machine.roof(intensity) for intensity in (1, 10, 1000)] == [10, 100, 100]


def test_operations_bytes_and_seconds_of_a_case_come_together() -> None:
    found = {"embed-1024": result("a", 40.0, 2.0, 1.0, 4.0, product=4e11)}
    (case,) = measured(counts(**{"embed-1024": 1000.0}), read(found))
    operations, positions = embed_flops(SIZES["tiny"], 1024, 5, 50), 1024 * 5 * 6  # four patches, REG, and the future's
    assert case.machine == (4e11, 40e9)
    assert case.intensity == operations / (1000 * positions)
    assert (case.reached, case.slowest, case.fastest) == (operations / 2, operations / 4, operations)


def test_a_case_has_the_rate_beside_it_or_else_that_of_others() -> None:
    """Memory was measured once a command, however many cases it had; an older one did not."""
    moved = counts(**{"embed-1024": 1.0, "forecast-256": 1.0, "long-context": 1.0})
    found = {
        "embed-1024": result("a", 40.0, 1.0, product=2e11),
        "forecast-256": result("a", 40.0, 1.0, product=6e11),
        "long-context": result("b", 60.0, 1.0),
        "training": result("c", None, 1.0),
    }
    cases = {case.reached: case.machine for case in measured(moved, read(found))}
    assert set(cases.values()) == {(2e11, 50e9), (6e11, 50e9), (4e11, 50e9)}
    assert cases[forecast_flops(SIZES["tiny"], 8, 1, 2048, 64)] == (4e11, 50e9)


@pytest.mark.parametrize(
    ("found", "complaint"),
    [
        ({"embed-1024": result("a", 40.0, 1.0)}, "no rate of a plain product"),
        ({"embed-1024": result("a", None, 1.0, product=1.0)}, "none of memory"),
        ({"embed-64": result("a", 40.0, 1.0, product=1.0)}, "none of embed-1024, forecast-256"),
    ],
)
def test_no_rate_or_no_case_is_an_error(found: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        measured(counts(**{"embed-1024": 1.0}), read(found))


def test_programs_for_a_chip_take_what_products_or_memory_take() -> None:
    work = {"groups": 16, "variates": 5, "steps": 50, "horizon": None}
    slow = {"flops": 394 * 10**12, "memory_traffic": 819 * 4 * 10**9}
    fast = {"flops": 591 * 10**12, "memory_traffic": 819 * 10**9}
    case = {"work": work, "topology": "v5e:2x4", "plain": slow, "ours": fast}
    kind, chip, cases = compiled({"a": case, "b": case | {"plain": None}})
    assert (kind, chip) == ("v5e", (197e12, 819e9))
    assert [one.plain for one in cases] == [Side(394e12 / (819 * 4e9), 4), None]
    assert [one.ours.seconds for one in cases] == [3, 3]
    assert cases[0].title == "embed, 16 × 5 × 50"


@pytest.mark.parametrize("kinds", [(), ("v9",), ("v5e", "v9")])
def test_other_chips_are_refused(kinds: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=f"compiled for {', '.join(kinds) or 'nothing'}: .* of v5e$"):
        compiled({kind: {"topology": f"{kind}:2x4"} for kind in kinds})


def test_the_tables_tell_shares_of_the_roof_and_what_is_the_limit() -> None:
    lines = tables(CPU, TPU).splitlines()
    assert "| some | 25 | 200 | 150 | 75% (50% … 100%) |" in lines
    assert "Memory is read and written at 8 GB/s; the ridge is at 50 operations a byte." in lines
    assert "| a | 100 → 400 | 4.00 → 2.00 | memory → products |" in lines
    assert "| b | does not fit → 50 | does not fit → 1,000.00 | does not fit → memory |" in lines


def test_the_picture_shows_those_numbers() -> None:
    left, right = picture(CPU, TPU).axes
    roof, *points = [line.get_xydata().tolist() for line in left.lines]
    assert roof == [[1, 8], [62.5, 500], [1000, 500]]
    assert points == [[[25, 150]], [[90, 300]]]
    assert [line.get_xydata().tolist() for line in right.lines[:4]] == [
        [[100, 0], [400, 0]],
        [[100, 0]],
        [[400, 0]],
        [[50, 1]],
    ]
    assert right.lines[4].get_xdata() == [200, 200]


def test_the_command_writes_what_is_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page and picture in the checkout are what the files in the checkout say."""
    page, kept = tmp_path / "page.md", roofline.PAGE.read_text()
    drawn = html.unescape(roofline.PICTURE.read_text())
    page.write_text("<!-- roofline: written by benchmarks.roofline --write -->\n<!-- /roofline -->\n")
    monkeypatch.setattr(roofline, "PICTURE", tmp_path / "roofline.svg")
    monkeypatch.setattr(roofline, "PAGE", page)
    monkeypatch.setattr(sys, "argv", ["roofline", "--write"])
    roofline.main()
    assert page.read_text() in kept
    (first, *_) = (line for line in page.read_text().splitlines() if line.startswith("| embed"))
    assert first in drawn
    new = html.unescape((tmp_path / "roofline.svg").read_text())
    between = "<dc:description>", "</dc:description>"
    assert new.split(between[0])[1].split(between[1])[0] == drawn.split(between[0])[1].split(between[1])[0]


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({}, "counts.json"),
        ({"counts.json": counts(), "tpu_traffic.json": {}}, "no rate of a plain product"),
        ({"counts.json": {}, "tpu_traffic.json": {}}, "no rate of a plain product"),
    ],
)
def test_files_that_are_absent_or_empty_are_told_of(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    files: dict[str, Any],
    complaint: str,
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    monkeypatch.setattr(roofline, "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["roofline"])
    with pytest.raises(SystemExit) as left:
        roofline.main()
    assert left.value.code == 2
    errors = capsys.readouterr().err
    assert f"the files in {tmp_path} do not make a roofline" in errors
    assert complaint in errors
