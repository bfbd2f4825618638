"""Embeddings of the windows of raw event files, while they are read."""

import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import Float

from train.run import TrainedRun
from train.run_record import record_start
from train.smarthome.dataset import Window, WindowSplit
from train.smarthome.raw import windows_of

Embedded = tuple[list[Window], Float[np.ndarray, "_ d"]]
"""Windows, and the unit embedding of each."""


def embedded_windows(run: TrainedRun, path: Path, split: WindowSplit) -> Iterator[Embedded]:
    """Windows of a raw event file with their embeddings, in order of time, a batch of the encoder at a time.

    Args:
        run: The trained run.
        path: Raw CASAS event file.
        split: The windows that the run was trained on: new ones are cut as these were.

    Raises:
        FileNotFoundError, ValueError: As `windows_of`; or data or encoder are not those of the run, or the file has no
            window with enough events.
    """
    windows = windows_of(path, split.header)
    # On a run that is there, this compares.
    record_start(run.config, {"train": split.fingerprint, "encoder": run.encoder.identity}, run.text_inputs)
    return _embedded(run, path, windows)


def _embedded(run: TrainedRun, path: Path, windows: Iterator[Window]) -> Iterator[Embedded]:
    found = False
    while batch := list(islice(windows, run.encoder.batch_size)):
        found = True
        with warnings.catch_warnings():
            # Unknown sensors have no place: `windows_of` tells their share, once for the file.
            warnings.filterwarnings("ignore", "nothing is observed in the target")
            windows_BxD = run.embed_series(np.stack([window.series for window in batch]))
        yield batch, windows_BxD
    if not found:
        raise ValueError(f"{path} has events, but not one window with as many as the run's data have at least")
