"""The main measures of an evaluation as a table for the terminal; all of them are in evaluation.json."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from train.evaluation.again import BASELINE_FOLDER
from train.evaluation.names import encoder_name, text_name
from train.evaluation.report import NOT_MEASURED, Report
from train.evaluation.seeds import FEWEST, is_same
from train.evaluation.ways import WAYS

RETRIEVALS = {"exact": "exact", "multi_positive": "any match"}
DIRECTIONS = {"window_to_caption": "window → caption", "caption_to_window": "caption → window"}
PLACES = {"recall_at_1": "recall at 1", "recall_at_10": "recall at 10", "mean_reciprocal_rank": "mean 1/rank"}
SCORES = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "macro_f1": "macro F1"}
AGREEMENTS = {
    "adjusted_rand": "adjusted Rand",
    "normalized_mutual_information": "mutual information",
    "purity": "purity",
}
WIDEST = len("99.9 [99.9, 99.9]")  # of a column of numbers
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
        title=f"{escape(str(run_dir))}\n{_names(run)}\n"
        f"{run['validation_windows']:,} validation windows{labels}\n{spread}, in %",
        caption="exact: only a window's own text, the mean of its captions · any match: any caption that it has · "
        "chance: a random ranking, a uniform guess, permuted clusters · majority: the most frequent label of the "
        "training windows · probe, neighbours: learned from labelled training windows · mutual information: normalised"
        f"{_hints(seeds)}\nevaluation.json and report.html have recall at 5 and 50, weighted F1 and each label, too",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("measure")
    baseline = shown[BASELINE_FOLDER]
    for column in (encoder_name(run), *(["statistics"] if baseline else []), "chance", "majority"):
        table.add_column(escape(column), justify="right", max_width=WIDEST)
    reports = [shown, baseline] if baseline else [shown]
    for section, rows in _sections(shown):
        table.add_row(f"[bold]{section}[/bold]")
        for title, path in rows.items():
            found = [_at(one, path) for one in reports]
            if NOT_MEASURED in found[0]:
                table.add_row("  not measured")
                break
            guesses = [_percent(found[0].get(guess)) for guess in ("chance", "majority")]
            table.add_row(f"  {title}", *map(_number, found), *guesses)
    for reason in dict.fromkeys(_reasons(report)):
        table.caption = f"{table.caption}\nnot measured: {escape(reason)}"
    return table


def _names(run: Report) -> str:
    weights = f" ({run['weights']})" if run["weights"] else ""
    return escape(f"{encoder_name(run)}{weights}, {text_name(run['text'])}")


def _hints(seeds: Report | None) -> str:
    if not seeds:
        return ""
    hint = " · (same): for all seeds, as of what does not train"
    few = len(seeds["seeds"]) < FEWEST
    return hint + (f"\n{FEWEST} seeds are the least whose interval says something: --seeds {FEWEST}" if few else "")


def _sections(report: Report) -> Iterator[tuple[str, dict[str, tuple[str, ...]]]]:
    """Title of a section, and of each of its rows where in the report it is."""
    for form, form_title in RETRIEVALS.items():
        for direction, title in DIRECTIONS.items():
            yield f"{title}, {form_title}", {name: ("retrieval", form, direction, key) for key, name in PLACES.items()}
    if NOT_MEASURED in report["recognition"]:
        yield "recognition", {"": ("recognition",)}
    else:
        for way, title in WAYS.items():
            scores = {key: name for key, name in SCORES.items() if way == "zero_shot" or key != "balanced_accuracy"}
            yield title, {name: ("recognition", way, key) for key, name in scores.items()}
    yield "clusters", {name: ("clustering", key) for key, name in AGREEMENTS.items()}


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
    if is_same(number):
        return f"{value:.1f}{NBSP}(same)"
    if "half_width" in number:
        return f"{value:.1f}{NBSP}±{NBSP}{100 * number['half_width']:.1f}"
    low, high = (100 * bound for bound in number["interval"])
    return f"{value:.1f} [{low:.1f},{NBSP}{high:.1f}]"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"
