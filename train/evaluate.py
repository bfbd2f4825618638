"""The command `python -m train.evaluate`: what a trained run can do, beside chance and beside a simple encoder."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console
from rich.table import Table

from chronos_jax.replacing import replacing
from train.config import TrainConfig
from train.data import open_splits
from train.evaluation.plots import plot_confusion, plot_embeddings
from train.evaluation.report import NOT_MEASURED, Measured, Report, measure
from train.evaluation.retrieval import KS
from train.loop import train
from train.processes import Stopped
from train.run import TrainedRun, load_run

REPORT_FILE = "evaluation.json"
CONFUSION_FILE = "confusion.png"
EMBEDDINGS_FILE = "embeddings.png"
BASELINE_FOLDER = "baseline_statistics"

WAYS = {
    "zero_shot": "zero-shot",
    "probe_of_embedding": "probe of embedding",
    "probe_of_encoder": "probe of encoder",
}


@dataclass(frozen=True)
class EvaluateOptions:
    """Measure a trained run on its validation split: retrieval, zero-shot recognition, linear probes."""

    run: Path
    """Folder of the run (its output_dir)."""
    baseline: bool = True
    """Train the same towers on the statistics encoder too, once, into the folder of the run, to compare with."""


def evaluate(run_dir: Path, baseline: bool = True) -> Report:
    """Measures a run by its checkpoint of lowest validation loss; the same run gives the same numbers.

    Writes evaluation.json, confusion.png and embeddings.png into the folder of the run, and prints a table.

    Args:
        run_dir: Folder of the run.
        baseline: Whether to train the same towers on the statistics encoder and to measure these, too. They are kept in
            the folder `baseline_statistics` of the run and not trained again.

    Returns:
        What is in evaluation.json: "run", "retrieval", "recognition", and the same three of the baseline under
        "baseline_statistics", which is None where there is none. Scores are shares in [0, 1]; in place of scores that
        cannot be had stands {"not_measured": why}.

    Raises:
        FileNotFoundError: There is no run, it has no checkpoint, or its data are gone.
        ValueError: Data or encoder are not those that the run was trained with.
    """
    run = load_run(run_dir)
    splits = open_splits(run.config)
    measured = measure(run, *splits)
    report = measured.report | {BASELINE_FOLDER: None}
    if baseline and run.config.encoder != "statistics":
        report[BASELINE_FOLDER] = measure(_baseline(run.config), *splits).report
    _plot(measured, run_dir)
    text = json.dumps(report, indent=1)
    with replacing(run_dir / REPORT_FILE) as beside:
        beside.write_text(text + "\n")
    report = json.loads(text)  # as any other reader of the file has it
    Console().print(_table(report, run_dir))
    return report


def _baseline(config: TrainConfig) -> TrainedRun:
    """The run that differs from this one in its encoder alone; trained, gone on with or just read."""
    folder = config.output_dir / BASELINE_FOLDER
    changes = {
        "encoder": "statistics",
        "output_dir": folder,
        # A simulated home lies in the folder of the run: not simulated again.
        "train_data_path": config.train_data_path or (config.output_dir / "data").resolve(),
        "use_wandb": False,
    }
    try:
        train(config.model_copy(update=changes))
    except ValueError as error:
        raise ValueError(
            f"the baseline in {folder} cannot be compared with: {error}\nDelete that folder to train the baseline "
            "again, or evaluate without it (--no-baseline)"
        ) from error
    return load_run(folder)


def _plot(measured: Measured, folder: Path) -> None:
    if measured.predictions:
        # The probe of the encoder is a number to compare with; of the towers trained here these two speak.
        shown = [way for way in ("zero_shot", "probe_of_embedding") if way in measured.predictions]
        predictions = {WAYS[way]: measured.predictions[way] for way in shown}
        plot_confusion(folder / CONFUSION_FILE, [label for label in measured.labels if label], predictions)
    plot_embeddings(folder / EMBEDDINGS_FILE, measured.windows_NxD, measured.labels, measured.descriptions)


def _table(report: Report, run_dir: Path) -> Table:
    run, recognition, baseline = report["run"], report["recognition"], report[BASELINE_FOLDER]
    labels = (
        f", {recognition['windows']:,} with one of {recognition['labels']} labels" if "labels" in recognition else ""
    )
    table = Table(
        title=f"{run_dir} ({run['weights'] or run['encoder']})\n"
        f"{run['validation_windows']:,} validation windows{labels}",
        caption="recall: a match among the first k · chance: a random ranking, a uniform guess · majority: the most "
        "frequent label of the training windows · probe: logistic regression on training windows",
    )
    table.add_column("measure", no_wrap=True)
    for column in (run["encoder"], *(["statistics"] if baseline else []), "chance", "majority"):
        table.add_column(column, justify="right")
    reports = [report, baseline] if baseline else [report]
    for way, title in (("window_to_caption", "window → caption"), ("caption_to_window", "caption → window")):
        for k in KS:
            found = [_percent(one["retrieval"][way]["recall"][str(k)]) for one in reports]
            chance = _percent(report["retrieval"][way]["chance"][str(k)])
            table.add_row(f"{title}, recall at {k}", *found, chance, end_section=k == KS[-1])
    if NOT_MEASURED in recognition:
        table.add_row(f"recognition: {recognition[NOT_MEASURED]}")
        return table
    for way, title in WAYS.items():
        for key, name in (("accuracy", "accuracy"), ("macro_f1", "macro F1")):
            scores = [one["recognition"][way].get(key) for one in reports]
            guesses = [recognition[guess][key] for guess in ("chance", "majority")]
            table.add_row(f"{title}, {name}", *(_percent(value) for value in (*scores, *guesses)))
    return table


def _percent(share: float | None) -> str:
    return "not measured" if share is None else f"{share:.1%}"


def main() -> None:
    """Runs the command; what is wrong with the run is said in one line, with exit code 1."""
    options = tyro.cli(EvaluateOptions, prog="python -m train.evaluate", use_underscores=True)
    try:
        evaluate(options.run, options.baseline)
    except (OSError, ValueError, RuntimeError, Stopped) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
