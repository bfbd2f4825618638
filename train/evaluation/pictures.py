"""The pictures of an evaluation: report.html, and the PNGs beside it."""

import json
from contextlib import suppress
from pathlib import Path

from train.evaluation.page import Page, write_page
from train.evaluation.plots import plot_confusion, plot_embeddings
from train.evaluation.report import Evaluation, Measured, Report
from train.evaluation.ways import WAYS
from train.metrics import FILE as METRICS_FILE
from train.run_record import read_record

PAGE_FILE = "report.html"
CONFUSION_FILE = "confusion.png"
EMBEDDINGS_FILE = "embeddings.png"


def draw(evaluation: Evaluation, measured: Measured, report: Report, folder: Path) -> None:
    """Writes report.html, confusion.png (where windows have labels) and embeddings.png.

    Args:
        evaluation: The splits.
        measured: The run on them.
        report: What is in evaluation.json.
        folder: Of the run.
    """
    _plot(evaluation, measured, folder)
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


def _plot(evaluation: Evaluation, measured: Measured, folder: Path) -> None:
    labelled = [window for window, label in enumerate(evaluation.labels) if label]
    # Probes of the encoder are numbers to compare with; of the towers trained here these two speak.
    shown = [way for way in ("zero_shot", "linear_probe_of_embedding") if way in measured.predictions]
    if shown:
        predictions = {WAYS[way]: [measured.predictions[way][window] for window in labelled] for way in shown}
        plot_confusion(folder / CONFUSION_FILE, [evaluation.labels[window] for window in labelled], predictions)
    plot_embeddings(folder / EMBEDDINGS_FILE, measured.windows_NxD, evaluation.labels, measured.descriptions)
