"""The command `python -m train.evaluate`: what a trained run can do, beside chance and beside a simple encoder."""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from chronos_jax.replacing import replacing
from train.command_line import plain_words
from train.evaluation.again import BASELINE_FOLDER, baseline_of, seeded
from train.evaluation.plots import plot_confusion, plot_embeddings
from train.evaluation.report import Evaluation, Measured, Report, intervals
from train.evaluation.seeds import over_seeds
from train.evaluation.table import main_measures
from train.evaluation.ways import WAYS
from train.metrics import FILE as METRICS_FILE
from train.run import TrainedRun, load_run
from train.run_record import read_record

REPORT_FILE = "evaluation.json"
PAGE_FILE = "report.html"
CONFUSION_FILE = "confusion.png"
EMBEDDINGS_FILE = "embeddings.png"
COMPARED = ("retrieval", "recognition", "clustering", BASELINE_FOLDER)  # over seeds


@dataclass(frozen=True)
class EvaluateOptions:
    """Measure a trained run on its validation split: retrieval, zero-shot recognition, probes, clustering."""

    run: Path
    """Folder of the run (its output_dir)."""
    baseline: bool = True
    """Train the same towers on the statistics encoder too, once, into the folder of the run, to compare with."""
    seeds: int = 1
    """Train the same run with so many seeds in all, the others into its folder seeds, for means and their intervals."""


def evaluate(run_dir: Path, baseline: bool = True, seeds: int = 1) -> Report:
    """Measures a run by its checkpoint of lowest validation loss; the same run gives the same numbers.

    Writes evaluation.json, report.html, confusion.png and embeddings.png into the run's folder, and prints a table.

    Args:
        run_dir: Folder of the run.
        baseline: Whether to train the same towers on the statistics encoder and to measure these, too. They are kept in
            the folder `baseline_statistics` of the run and not trained again.
        seeds: With how many seeds the run and its baseline are trained and measured: its own and those that follow.
            Those are kept in the folder `seeds` of the run and not trained again.

    Returns:
        What is in evaluation.json, see `train.evaluation.report`.

    Raises:
        FileNotFoundError: There is no run, it has no checkpoint, or its data are gone.
        ValueError: Data or encoder are not those that the run was trained with; `seeds` is not positive.
    """
    if seeds < 1:
        raise ValueError(f"seeds is {seeds}: at least 1 is needed, which is the run's own")
    run = load_run(run_dir)
    evaluation = Evaluation(run.config)
    measured = evaluation.measure(run)
    report = {"intervals": intervals()} | _beside_baseline(evaluation, run, measured, baseline) | {"seeds": None}
    if seeds > 1:
        numbers = [run.config.seed + further for further in range(seeds)]
        others = [seeded(run.config, seed) for seed in numbers[1:]]
        reports = [report, *(_beside_baseline(evaluation, one, evaluation.measure(one), baseline) for one in others)]
        compared = over_seeds([{key: one[key] for key in COMPARED} for one in reports])
        report["seeds"] = {"seeds": numbers} | compared
    text = json.dumps(report, indent=1)
    with replacing(run_dir / REPORT_FILE) as beside:
        beside.write_text(text + "\n")
    report = json.loads(text)  # as any other reader of the file has it
    _plot(evaluation, measured, run_dir)
    _write_page(evaluation, measured, report, run_dir)
    Console().print(main_measures(report, run_dir))
    return report


def _beside_baseline(evaluation: Evaluation, run: TrainedRun, measured: Measured, baseline: bool) -> Report:
    compared = baseline and run.config.encoder != "statistics"
    theirs = evaluation.measure(baseline_of(run.config)).report if compared else None
    return measured.report | {BASELINE_FOLDER: theirs}


def _plot(evaluation: Evaluation, measured: Measured, folder: Path) -> None:
    labelled = [window for window, label in enumerate(evaluation.labels) if label]
    # Probes of the encoder are numbers to compare with; of the towers trained here these two speak.
    shown = [way for way in ("zero_shot", "linear_probe_of_embedding") if way in measured.predictions]
    if shown:
        predictions = {WAYS[way]: [measured.predictions[way][window] for window in labelled] for way in shown}
        plot_confusion(folder / CONFUSION_FILE, [evaluation.labels[window] for window in labelled], predictions)
    plot_embeddings(folder / EMBEDDINGS_FILE, measured.windows_NxD, evaluation.labels, measured.descriptions)


def _write_page(evaluation: Evaluation, measured: Measured, report: Report, folder: Path) -> None:
    from train.evaluation.page import Page, write_page

    metrics = []
    with suppress(FileNotFoundError):
        for line in (folder / METRICS_FILE).read_text().splitlines():
            with suppress(json.JSONDecodeError):  # the line that a killed run was writing
                metrics.append(json.loads(line))
    page = Page(
        title=folder.resolve().name,
        config=read_record(folder) or {},
        metrics=metrics,
        report=report,
        labels=evaluation.labels,
        predictions={WAYS[way]: predicted for way, predicted in measured.predictions.items()},
        windows_NxD=measured.windows_NxD,
        descriptions=measured.descriptions,
        starts=evaluation.starts,
        ends=evaluation.ends,
        rooms=evaluation.rooms,
        captions=evaluation.captions,
        texts=measured.texts.texts,
        texts_CxD=measured.texts.embeddings_CxD,
        matches_NxC=measured.texts.matches_NxC,
    )
    write_page(folder / PAGE_FILE, page)


def main() -> None:
    """Runs the command; what is wrong with the run is said in one line, with exit code 1."""
    options = tyro.cli(EvaluateOptions, prog="python -m train.evaluate", use_underscores=True)
    with plain_words():
        evaluate(options.run, options.baseline, options.seeds)


if __name__ == "__main__":
    main()
