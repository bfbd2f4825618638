"""The command `python -m train.evaluate`: what a trained run can do, beside chance and beside a simple encoder."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from chronos_jax.replacing import replacing
from train.command_line import plain_words, tell_what_is_there

REPORT_FILE = "evaluation.json"


@dataclass(frozen=True)
class EvaluateOptions:
    """Measure a trained run on its validation split: retrieval, zero-shot recognition, probes, clustering."""

    run: Path
    """Folder of the run (its output_dir)."""
    baseline: bool = True
    """Train the same towers on the statistics encoder too, once, into the folder of the run, to compare with."""
    seeds: int | None = None
    """Train the same run with so many seeds in all, the others into its folder seeds, for means and their intervals.
    By default those that are finished there already are measured, too; 1 leaves them out."""


def evaluate(run_dir: Path, baseline: bool = True, seeds: int | None = None) -> dict[str, Any]:
    """Measures a run by its checkpoint of lowest validation loss; the same run gives the same numbers.

    Writes evaluation.json, report.html, confusion.png and embeddings.png into the run's folder, and prints a table.

    Args:
        run_dir: Folder of the run.
        baseline: Whether to train the same towers on the statistics encoder and to measure these, too. They are kept in
            the folder `baseline_statistics` of the run and not trained again.
        seeds: With how many seeds the run and its baseline are trained and measured: its own and those that follow.
            Those are kept in the folder `seeds` of the run and not trained again. By default its own, and those that
            follow it without a gap and are trained to their end in that folder.

    Returns:
        What is in evaluation.json, see `train.evaluation.report`.

    Raises:
        FileNotFoundError: There is no run, it has no checkpoint, or its data are gone.
        ValueError: Data or encoder are not those that the run was trained with; `seeds` is not positive.
    """
    if seeds is not None and seeds < 1:
        raise ValueError(f"seeds is {seeds}: at least 1 is needed, which is the run's own")
    # After the arguments are read, so that --help and mistakes answer at once.
    from rich.console import Console

    from train.evaluation.comparison import compared
    from train.evaluation.pictures import draw
    from train.evaluation.report import Evaluation
    from train.evaluation.table import main_measures
    from train.run import load_run

    run = load_run(run_dir)
    evaluation = Evaluation(run.config)
    measured = evaluation.measure(run)
    text = json.dumps(compared(evaluation, run, measured, baseline, seeds), indent=1)
    with replacing(run_dir / REPORT_FILE) as beside:
        beside.write_text(text + "\n")
    report: dict[str, Any] = json.loads(text)  # as any other reader of the file has it
    draw(evaluation, measured, report, run_dir)
    Console().print(main_measures(report, run_dir))
    return report


def main() -> None:
    """Runs the command; what is wrong with the run is said in one line, with exit code 1."""
    options = tyro.cli(EvaluateOptions, prog="python -m train.evaluate", use_underscores=True)
    with plain_words():
        evaluate(options.run, options.baseline, options.seeds)
    tell_what_is_there(options.run)


if __name__ == "__main__":
    main()
