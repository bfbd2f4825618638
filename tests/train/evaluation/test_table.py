import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from train.evaluation.table import main_measures
from train.evaluation.ways import WAYS


def number(value: float, **guesses: float) -> dict[str, Any]:
    return {"value": value, "interval": [value - 0.05, value + 0.05], "chance": 0.031, **guesses}


def section() -> dict[str, Any]:
    places = {name: number(0.4) for name in ("recall_at_1", "recall_at_10", "mean_reciprocal_rank")}
    directions = {"window_to_caption": places, "caption_to_window": places}
    scores = {name: number(0.613, majority=0.22) for name in ("accuracy", "balanced_accuracy", "macro_f1")}
    clusters = ("adjusted_rand", "normalized_mutual_information", "purity")
    return {
        "retrieval": {
            "resampled": {"units": "days", "count": 6},
            "exact": directions,
            "multi_positive": directions,
        },
        "recognition": {"windows": 1500, "labels": 22, **dict.fromkeys(WAYS, scores)},
        "clustering": {name: number(0.3) for name in clusters},
    }


@pytest.fixture
def report() -> dict[str, Any]:
    run = {"encoder": "chronos2", "weights": "random:tiny", "text": "bag-of-words", "validation_windows": 1600}
    return {"run": run, **section(), "baseline_statistics": None, "seeds": None}


def printed(report: dict[str, Any], width: int = 120) -> str:
    console = Console(width=width, record=True, quiet=False, file=None)
    with console.capture() as captured:
        console.print(main_measures(report, Path("runs/home")))
    return captured.get().replace("\u00a0", " ")


def cells(row: str) -> list[str]:
    return re.split(r" {2,}", row.strip())


def line(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if start in line)


def test_values_stand_with_their_intervals_beside_guesses(report: dict[str, Any]) -> None:
    text = printed(report)
    assert "Chronos-2, random weights (random:tiny), bag of words" in text
    assert "1,600 validation windows, 1,500 with one of 22 labels" in text
    assert "interval over 6 days" in text
    heading, row = text[text.index("zero-shot") :].splitlines()[:2]
    assert heading.strip() == "zero-shot"
    assert cells(row) == ["accuracy", "61.3 [56.3, 66.3]", "3.1", "22.0"]
    assert len(text.splitlines()) < 55


def test_a_baseline_has_a_column(report: dict[str, Any]) -> None:
    report["baseline_statistics"] = section()
    assert line(printed(report), "purity").count("30.0 [25.0, 35.0]") == 2


def test_of_several_seeds_their_mean_is_shown(report: dict[str, Any]) -> None:
    of_seeds = section()
    of_seeds["clustering"]["purity"] = {"value": 0.4, "half_width": 0.012, "values": [0.39, 0.41], "chance": 0.2}
    same = {"value": 0.6, "half_width": 0.0, "values": [0.6, 0.6], "chance": 0.2}
    of_seeds["recognition"]["linear_probe_of_encoder"] = dict.fromkeys(("accuracy", "macro_f1"), same)
    report["seeds"] = {"seeds": [0, 1], **of_seeds, "baseline_statistics": None}
    text = printed(report)
    assert "over seeds 0, 1" in text
    assert "40.0 ± 1.2" in line(text, "purity")
    assert cells(text[text.index("linear probe of encoder") :].splitlines()[1])[1] == "60.0 (same)"
    assert "(same): for all seeds" in text
    assert "3 seeds are the least whose interval says something: --seeds 3" in text
    report["seeds"]["seeds"] = [0, 1, 2]
    assert "the least" not in printed(report)


def test_what_was_not_measured_has_its_reason_below(report: dict[str, Any]) -> None:
    report["recognition"]["zero_shot"] = {"not_measured": "the file has no embedding"}
    report["clustering"] = {"not_measured": "one label"}
    text = printed(report)
    for section in ("zero-shot", "clusters"):
        assert text[text.index(section) :].splitlines()[1].strip() == "not measured"
    assert "balanced accuracy" not in text
    for reason in ("the file has no embedding", "one label"):
        assert f"not measured: {reason}" in text


def test_a_narrow_terminal_cuts_nothing_and_breaks_no_row_twice(report: dict[str, Any]) -> None:
    report["baseline_statistics"] = section()
    wide, narrow = printed(report), printed(report, width=80)
    assert "…" not in narrow
    assert max(map(len, narrow.splitlines())) == 80

    def rows(text: str) -> list[str]:
        return text[text.index("───") : text.index("exact: only")].splitlines()

    assert len(rows(narrow)) <= len(rows(wide)) + 4 + 4  # headings of retrieval and of probes break once
    for number in ("40.0 [35.0, 45.0]", "61.3 [56.3, 66.3]"):
        assert narrow.count(number) == wide.count(number) > 0


def test_it_says_where_the_rest_is_and_takes_no_name_for_markup(report: dict[str, Any]) -> None:
    text = " ".join(printed(report).split())
    assert "report.html have recall at 5 and 50, weighted F1" in text
    report["run"]["weights"] = "[bold]x"
    report["recognition"] = {"not_measured": "[red]why"}
    text = printed(report)
    assert "[bold]x" in text
    assert "not measured: [red]why" in text
