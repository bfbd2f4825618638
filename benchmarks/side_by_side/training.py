"""Head training, all included: `python -m train`, against a loop that embeds by the reference in each epoch."""

import json
import sys
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

import numpy as np

from benchmarks.side_by_side.loading import Setting, environment
from benchmarks.side_by_side.measuring import Run, Runs, alternating, difference
from benchmarks.side_by_side.sides import SideError, module, timed_process

WINDOWS_PER_DAY = 50  # of the simulated home, at least
VALIDATION_DAYS = 2


class Training(NamedTuple):
    """How much is trained: windows, epochs, and the epochs that the reference does, from which the others follow."""

    windows: int
    epochs: int
    reference_epochs: int


def train_both(
    setting: Setting, training: Training, repeats: int, room: Path, advance: Callable[[str], object]
) -> tuple[Runs, dict[str, Any]]:
    """Measures both sides, from the start of the process to its end, with nothing stored and nothing compiled before.

    Windows are simulated and cut apart from the clock. Ours also validates after each epoch and saves its state. The
    reference's seconds are those of its start, and of `epochs` times its median epoch, of which it does
    `reference_epochs`; head, text tower, loss, batches and optimiser are as ours.

    Returns:
        Measurements by side; and "difference" of the features that both sides learn from, with what was trained.

    Raises:
        SideError: A process ended too early.
    """
    records, tables = prepare(room, training.windows)
    runs = alternating(
        {
            "chronos_jax": partial(_ours, setting, training, records, room),
            "reference": partial(_reference, setting, training, tables, room),
        },
        repeats,
        advance,
    )
    compared_N = _without_constants(np.load(tables)["series_NxVxT"])
    features = _stored_features(room, training.windows), np.load(room / "reference-features.npy")
    apart = difference(*(features_NxF[compared_N] for features_NxF in features))
    return runs, {"difference": apart, "training": training._asdict()}


def prepare(room: Path, windows: int) -> tuple[Path, Path]:
    """A folder of records for ours, and a file of arrays for the reference, with the same windows and captions."""
    from train.config import TrainConfig
    from train.data import captions_of
    from train.input import Captions
    from train.prepare import PrepareOptions
    from train.prepare import prepare as prepare_records
    from train.run import text_inputs_of
    from train.smarthome.records import open_split, write_prepared

    days = -(-windows // WINDOWS_PER_DAY) + VALIDATION_DAYS
    simulated = {"simulate": days, "output": room / "simulated", "validation_days": VALIDATION_DAYS, "length": 50}
    folder = prepare_records(PrepareOptions.model_validate(simulated))
    train, validation = (open_split(folder, split) for split in ("train", "validation"))
    if len(train) < windows:
        raise SideError(f"{days} simulated days have {len(train)} windows, not {windows}: lower WINDOWS_PER_DAY")
    write_prepared(room / "records", {"train": islice(train, windows), "validation": validation}, train.header)

    config = TrainConfig()
    split = open_split(room / "records", "train")
    texts = captions_of(split, config)
    captions = Captions.of(texts, text_inputs_of(config, texts))
    np.savez(
        room / "tables.npz",
        series_NxVxT=split.series(),
        words_UxW=np.asarray(captions.text_inputs_UxK),
        own_texts_NxC=captions.own_texts_NxC,
        counts_N=captions.counts_N,
    )
    return room / "records", room / "tables.npz"


def _ours(setting: Setting, training: Training, records: Path, room: Path) -> Run:
    new = Path(mkdtemp(prefix="run-", dir=room))
    keys = {
        "train_data_path": str(records),
        "chronos_model_name": str(setting.folder),
        "output_dir": str(new / "run"),
        "max_epochs": training.epochs,
        "use_amp": setting.dtype == "bfloat16",
        "evaluate": False,
    }
    config = new / "config.json"
    config.write_text(json.dumps(keys))
    command = [sys.executable, "-m", "train", "--config", str(config)]
    env = environment(setting.device, setting.dtype) | {"XDG_CACHE_HOME": str(new / "cache")}
    times = timed_process(command, env, room / "training.log")
    return {"seconds": times.end - times.start, "others": times.others}


def _reference(setting: Setting, training: Training, tables: Path, room: Path) -> Run:
    out = room / "reference"
    command = module("reference_training", *setting, tables, training.reference_epochs, out)
    times = timed_process(command, environment(setting.device, setting.dtype), room / "reference_training.log")
    told = json.loads(out.with_suffix(".json").read_text())
    epochs = told["epoch_seconds"]
    start = told["done"] - times.start - sum(epochs)
    return {
        "seconds": start + training.epochs * float(np.median(epochs)),
        "start_seconds": start,
        "epoch_seconds": epochs,
        "others": times.others,
    }


def _without_constants(series_NxVxT: np.ndarray) -> np.ndarray:
    """Windows without a variate that never changes: of those, the reference embeds what rounding left of nothing."""
    return (np.nanmax(series_NxVxT, axis=2) > np.nanmin(series_NxVxT, axis=2)).all(axis=1)


def _stored_features(room: Path, windows: int) -> np.ndarray:
    """The features of the training split, from the folder of the last run."""
    last = max(room.glob("run-*"), key=lambda folder: folder.stat().st_mtime_ns)
    for header in last.glob("run/features/*/header.json"):
        if json.loads(header.read_text())["shape"][0] == windows:
            return np.concatenate([np.load(part) for part in sorted(header.parent.glob("features-*.npy"))])
    raise SideError(f"{last} has no features of {windows} windows: look at what python -m train stores, and where")
