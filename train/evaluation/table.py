"""The main measures of an evaluation as a table for the terminal; all of them are in evaluation.json."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.table import Table

from train.evaluation.again import BASELINE_FOLDER
from train.evaluation.report import NOT_MEASURED, Report
from train.evaluation.ways import WAYS

RETRIEVALS = {"exact": "exact", "multi_positive": "any match"}
DIRECTIONS = {"window_to_caption": "window → caption", "caption_to_window": "caption → window"}
PLACES = {"recall_at_1": "recall at 1", "recall_at_10": "recall at 10", "mean_reciprocal_rank": "mean 1/rank"}
SCORES = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "macro_f1": "macro F1"}
AGREEMENTS = {
    "adjusted_rand": "adjusted Rand",
    "normalized_mutual_information": "normalised mutual information",
    "purity": "purity",
}
NBSP = "\u00a0"  # where a narrow terminal must not break a line


def main_measures(report: Report, run_dir: Path) -> Table:
    """The main measures of a report, beside those of the baseline and of guessing.

    Args:
        report: What is in evaluation.json. Where it has several seeds, their means are shown.
        run_dir: Folder of the run, for the title.
    """
    run, recognition, seeds = report["run"], report["recognition"], report["seeds"]
    shown = seeds or report
    labels = (
        f", {recognition['windows']:,} with one of {recognition['labels']} labels" if "labels" in recognition else ""
    )
    resampled = report["retrieval"]["resampled"]
    spread = (
        f"± 95 % t-interval of the mean over seeds {', '.join(map(str, seeds['seeds']))}"
        if seeds
        else f"[95 % bootstrap interval over {resampled['count']:,} {resampled['units']}]"
    )
    table = Table(
        title=f"{run_dir} ({run['weights'] or run['encoder']}, {run['text']})\n"
        f"{run['validation_windows']:,} validation windows{labels}\n{spread}, in %",
        caption="exact: only a window's own text, the mean of its captions · any match: any caption that it has · "
        "chance: a random ranking, a uniform guess, permuted clusters · majority: the most frequent label of the "
        "training windows · probe, neighbours: learned from labelled training windows · all: evaluation.json",
    )
    table.add_column("measure")
    baseline = shown[BASELINE_FOLDER]
    for column in (run["encoder"], *(["statistics"] if baseline else []), "chance", "majority"):
        table.add_column(column, justify="right")
    reports = [shown, baseline] if baseline else [shown]
    for title, path, is_last in _rows(shown):
        found = [_at(one, path) for one in reports]
        if NOT_MEASURED in found[0]:
            table.add_row(title, "not measured", end_section=is_last)
            continue
        guesses = [_percent(found[0].get(guess)) for guess in ("chance", "majority")]
        table.add_row(title, *map(_number, found), *guesses, end_section=is_last)
    for reason in dict.fromkeys(_reasons(report)):
        table.caption = f"{table.caption}\nnot measured: {reason}"
    return table


def _rows(report: Report) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    """Title, where it is in the report, and whether it is the last of its section."""
    for form, form_title in RETRIEVALS.items():
        for direction, title in DIRECTIONS.items():
            for place, name in PLACES.items():
                is_last = place == "mean_reciprocal_rank"
                yield f"{title} ({form_title}), {name}", ("retrieval", form, direction, place), is_last
    if NOT_MEASURED in report["recognition"]:
        yield "recognition", ("recognition",), False
    else:
        for way, title in WAYS.items():
            for key, name in SCORES.items():
                if way == "zero_shot" or key != "balanced_accuracy":
                    yield f"{title}, {name}", ("recognition", way, key), key == "macro_f1"
    if NOT_MEASURED in report["clustering"]:
        yield "clusters", ("clustering",), False
    else:
        for key, name in AGREEMENTS.items():
            yield f"clusters, {name}", ("clustering", key), False


def _at(report: Report, path: tuple[str, ...]) -> Report:
    """What is at a place in a report, or the reason why nothing is."""
    part: Any = report
    for key in path:
        if NOT_MEASURED in part:
            break
        part = part[key]
    return part


def _reasons(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if NOT_MEASURED in part:
            yield part[NOT_MEASURED]
        for value in part.values():
            yield from _reasons(value)


def _number(number: Report) -> str:
    if NOT_MEASURED in number:
        return "not measured"
    value = 100 * number["value"]
    if "half_width" in number:
        return f"{value:.1f}{NBSP}±{NBSP}{100 * number['half_width']:.1f}"
    low, high = (100 * bound for bound in number["interval"])
    return f"{value:.1f} [{low:.1f},{NBSP}{high:.1f}]"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"
