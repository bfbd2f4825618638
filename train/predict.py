"""The command `python -m train.predict`: activities of a raw event file, by a trained run and descriptions alone."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from chronos_jax.commands.files import check_output
from chronos_jax.compilation_cache import keep_what_is_compiled
from chronos_jax.replacing import replacing
from train.command_line import plain_words
from train.data import open_splits
from train.evaluation.zero_shot import label_probabilities
from train.new_events import embedded_windows
from train.run import load_run
from train.smarthome.dataset import Window
from train.smarthome.event_lines import check_event_file
from train.wordings import check_wordings, read_wordings

COLUMNS = ("start", "end", "events", "rooms", "activity", "probability")
BETWEEN_ROOMS = "; "


@dataclass(frozen=True)
class PredictOptions:
    """Name the activities in a raw event file: for each window of it, the label whose description fits best.

    The CSV has a row for each window, in order of time: start, end, number of events, rooms, activity, its probability,
    and then the probability of each label. These add up to one over the labels that are given: they say which of them
    fits better than the others, not that one of them fits.
    """

    run: Path
    """Folder of the run (its output_dir)."""
    events: Path
    """Raw CASAS event file: plain, .gz or .xz, of either public form, in order of time."""
    out: Path
    """CSV file to write."""
    labels: Path | None = None
    """JSON {label: text or [texts]}: the activities to tell apart, described in words. By default the labels of the
    run's data."""
    overwrite: bool = False
    """Replace the output if it exists."""


def predict(
    run_dir: Path, events: Path, out: Path, labels: Path | None = None, overwrite: bool = False
) -> dict[str, int]:
    """Writes the zero-shot activity of every window of a raw event file, in bounded memory.

    Windows are cut as the run's data were. The probabilities of a window are the softmax, over the labels, of cosine
    similarities times the run's logit scale.

    Args:
        run_dir: Folder of the run.
        events: Raw event file.
        out: CSV file (see `PredictOptions`); it appears when it is complete.
        labels: JSON {label: text or [texts]}, in place of the labels of the run's data.
        overwrite: Replace `out` where it is there.

    Returns:
        How many windows each activity has, the most frequent first.

    Raises:
        FileExistsError: `out` is there, and `overwrite` is not set.
        FileNotFoundError: There is no run, its data are gone, or there is no such file.
        ValueError: A file is not what was expected; the message says what and where.
    """
    if out.suffix.lower() != ".csv":
        raise ValueError(f"{out} has to end in .csv: it is a CSV file")
    check_output(out, overwrite)
    check_event_file(events)
    wordings = None if labels is None else read_wordings(labels)
    run = load_run(run_dir)
    train_split, _ = open_splits(run.config)
    wordings = wordings or train_split.header.label_to_text
    _check_labels(wordings)
    check_wordings(run.text_inputs, wordings)
    descriptions_LxD = run.embed_labels(wordings)
    names = list(wordings)
    counts: Counter[str] = Counter()
    batches = embedded_windows(run, events, train_split)
    with replacing(out) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([*COLUMNS, *names])
        for windows, windows_BxD in batches:
            probabilities_BxL = label_probabilities(windows_BxD, descriptions_LxD, run.logit_scale)
            for window, probabilities_L in zip(windows, probabilities_BxL.tolist(), strict=True):
                best = int(np.argmax(probabilities_L))
                counts[names[best]] += 1
                table.writerow(_row(window, names[best], [probabilities_L[best], *probabilities_L]))
    return dict(counts.most_common())


def _check_labels(wordings: Mapping[str, Sequence[str]]) -> None:
    if not wordings:
        raise ValueError("the run's data have no labels to tell apart: describe some in a file (--labels FILE)")
    if clashing := [label for label in wordings if label in COLUMNS]:
        raise ValueError(
            f"labels cannot be called like other columns of the output ({', '.join(clashing)}): call them otherwise "
            "(--labels FILE)"
        )


def _row(window: Window, activity: str, probabilities: Sequence[float]) -> list[str]:
    events = str(int(np.isfinite(window.series[0]).sum()))  # before the first event stands NaN
    rounded = [f"{probability:.6f}" for probability in probabilities]
    return [window.start, window.end, events, BETWEEN_ROOMS.join(window.rooms), activity, *rounded]


def _summary(counts: Mapping[str, int], out: Path) -> Table:
    windows = sum(counts.values())
    table = Table(
        title=f"{windows:,} windows in {out}", caption="the label whose description fits best, of those given"
    )
    for column in ("activity", "windows", "share"):
        table.add_column(column, justify="left" if column == "activity" else "right")
    for activity, count in counts.items():
        table.add_row(activity, f"{count:,}", f"{count / windows:.1%}")
    return table


def main() -> None:
    """Runs the command; what is wrong is said in one line, with exit code 1."""
    options = tyro.cli(PredictOptions, prog="python -m train.predict", use_underscores=True)
    keep_what_is_compiled()
    with plain_words():
        counts = predict(options.run, options.events, options.out, options.labels, options.overwrite)
    Console().print(_summary(counts, options.out))


if __name__ == "__main__":
    main()
