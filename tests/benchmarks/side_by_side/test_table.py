import copy
from pathlib import Path
from typing import Any

import pytest

from benchmarks.side_by_side.__main__ import write_pages
from benchmarks.side_by_side.results import results_file, save_case
from benchmarks.side_by_side.table import besides, compact_table, lines

RATIO = {"value": 1.65, "lowest": 1.5, "highest": 1.8, "target": 1.6, "reached": True}
RESULT: dict[str, Any] = {
    "title": "forecast",
    "seconds": {"chronos_jax": {"median": 2.0, "least": 1.91}, "reference": {"median": 330.4, "least": 300.0}},
    "ratio": RATIO,
    "others": 0.05,
    "memory": {"value": 0.9, "lowest": 0.9, "highest": 0.9, "target": 0.8, "reached": False},
    "share": {"value": 0.9, "target": None, "reached": None, "product_flops_per_second": 1.23e11},
    "difference": {"value": 2.4e-6, "tolerance": 1e-4},
    "runs": {"chronos_jax": [{"peak_mb": 900.0}, {"peak_mb": 90.0}], "reference": [{"peak_mb": 1000.0}]},
    "options": {"repeats": 5},
    "machine": {"processor": "EPYC", "cpus": 2, "device": "H200"},
    "versions": {"jax": "0.10", "torch": "2.13", "chronos-forecasting": "2.3", "commit": "abc"},
    "command": "python -m benchmarks.side_by_side",
}


def test_a_line_has_medians_least_values_and_whether_targets_were_reached() -> None:
    (line,) = lines(RESULT)
    assert line == (
        "| forecast | 2 (1.91) | 330 (300) | 1.65 × (1.50 … 1.80) | 1.6 ×, reached "
        "| 900 / 1,000 MB (≤ 0.8 to reach: missed) | 2e-06 | 90% of the 123 GFLOP/s of a plain product |"
    )


def test_a_single_turn_has_no_spread() -> None:
    runs = {side: result[:1] for side, result in RESULT["runs"].items()}
    assert "| 1.65 × (one turn) |" in lines(RESULT | {"runs": runs})[0]


def test_the_compiled_reference_has_a_line_of_its_own() -> None:
    result = copy.deepcopy(RESULT)
    result["seconds"]["reference_compiled"] = {"median": 4.0, "least": 3.5}
    result["ratio_compiled"] = RATIO | {"value": 2.0, "reached": False}
    line = lines(result)[1]
    assert line.startswith("| … reference under torch.compile | 2 (1.91) | 4 (3.5) | 2.00 ×")
    assert "missed" in line


def test_what_else_a_case_tells_is_told() -> None:
    result = copy.deepcopy(RESULT) | {"training": {"windows": 5000, "epochs": 50, "reference_epochs": 2}}
    result["overhead"] = {"value": 0.034, "target": 0.05, "reached": True}
    result["seconds"]["chronos_jax, empty cache"] = {"median": 3.25, "least": 3.0}
    (line,) = lines(result)
    assert "+3.4% over arrays (≤ 0.05 to reach: reached); chronos_jax, empty cache: 3.25 s; 5,000 windows" in line
    assert "50 epochs; the reference did 2, the others follow |" in line


def test_a_busy_machine_is_told_of() -> None:
    assert "other processes took 25% of the processors: to be measured again" in lines(RESULT | {"others": 0.25})[0]


def test_files_stand_side_by_side_with_gaps() -> None:
    first = {"size": "chronos-2", "device": "cpu", "dtype": "float32", "cases": {"embed-64": RESULT}}
    second = {"size": "chronos-2", "device": "gpu", "dtype": "bfloat16", "cases": {"multivariate": RESULT}}
    assert compact_table([first, second]).splitlines() == [
        "| ours / reference, s | chronos-2, CPU, float32 | chronos-2, GPU, bfloat16 |",
        "| --- | ---: | ---: |",
        "| forecast | 2 / 330: 1.6 × |  |",
        "| forecast |  | 2 / 330: 1.6 × |",
    ]


def test_what_was_not_measured_is_told_in_short_too() -> None:
    training = RESULT | {"training": {"windows": 5000, "epochs": 50, "reference_epochs": 1}}
    files = {"size": "chronos-2", "device": "cpu", "dtype": "float32", "cases": {"training": training}}
    assert "1.6 × (1 of 50 epochs of the reference measured) |" in compact_table([files])


def test_saved_results_go_to_both_pages(tmp_path: Path) -> None:
    pages = [tmp_path / "performance.md", tmp_path / "README.md"]
    for page in pages:
        page.write_text("<!-- speed: written by benchmarks.side_by_side --write -->\n<!-- /speed -->\n")
    with pytest.raises(ValueError, match=f"no results in {tmp_path}"):
        write_pages(tmp_path, pages)
    for size in ("chronos-2-small", "chronos-2"):
        save_case(results_file(tmp_path, size, "float32", "cpu"), "embed-64", RESULT)
    write_pages(tmp_path, pages)
    full, short = (page.read_text() for page in pages)
    described = (
        "float32; EPYC, 2 processors; jax 0.10, torch 2.13, chronos-forecasting 2.3; commit abc; 5 turns, by `python"
    )
    assert full.index(f"chronos-2, {described}") < full.index(f"chronos-2-small, {described}")
    assert full.count(lines(RESULT)[0]) == 2
    assert "| ours / reference, s | chronos-2, CPU, float32 | chronos-2-small, CPU, float32 |" in short


def test_answers_that_differ_are_marked_and_not_published(tmp_path: Path) -> None:
    wrong = RESULT | {"difference": {"value": 2e-4, "tolerance": 1e-4}}
    assert "2e-04, MORE THAN ROUNDING" in lines(wrong)[0]
    rounded = RESULT | {"error": {"value": 1.2, "tolerance": 1.1}}
    assert "MORE THAN ROUNDING" in lines(rounded)[0]
    assert "error against float32 1.20 of the reference's (≤ 1.1)" in besides(rounded)
    save_case(results_file(tmp_path, "chronos-2", "float32", "cpu"), "embed-64", wrong)
    with pytest.raises(ValueError, match="chronos-2: answers to embed-64 differ by more than rounding"):
        write_pages(tmp_path, [tmp_path / "page.md"])
