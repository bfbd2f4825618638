"""A run beside its baseline, and over seeds."""

from train.evaluation.again import BASELINE_FOLDER, baseline_of, finished_seeds, seeded
from train.evaluation.report import Evaluation, Measured, Report, intervals
from train.evaluation.seeds import over_seeds
from train.run import TrainedRun

COMPARED = ("retrieval", "recognition", "clustering", BASELINE_FOLDER)  # over seeds


def compared(
    evaluation: Evaluation, run: TrainedRun, measured: Measured, baseline: bool, seeds: int | None = None
) -> Report:
    """What evaluation.json holds of a run: its own numbers, those of its baseline, and all of them over seeds.

    Args:
        evaluation: Of the run's splits.
        run: The run.
        measured: What was measured of it.
        baseline: Whether to train and measure the same towers on the statistics encoder, too.
        seeds: With how many seeds in all. By default with those that are there and trained to their end.

    Raises:
        ValueError: A run that is there, of the baseline or of a seed, is not such a one.
    """
    report: Report = {"intervals": intervals()}
    report |= _beside_baseline(evaluation, run, measured, baseline) | {"seeds": None}
    seeds = seeds or finished_seeds(run.config, report["run"]["train_windows"])
    if seeds > 1:
        numbers = [run.config.seed + further for further in range(seeds)]
        others = [seeded(run.config, seed) for seed in numbers[1:]]
        reports = [report, *(_beside_baseline(evaluation, one, evaluation.measure(one), baseline) for one in others)]
        together = over_seeds([{key: one[key] for key in COMPARED} for one in reports])
        report["seeds"] = {"seeds": numbers} | together
    return report


def _beside_baseline(evaluation: Evaluation, run: TrainedRun, measured: Measured, baseline: bool) -> Report:
    simpler = baseline and run.config.encoder != "statistics"
    theirs = evaluation.measure(baseline_of(run.config)).report if simpler else None
    return measured.report | {BASELINE_FOLDER: theirs}
