"""All measures of one run on one pair of splits."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

from chronos_jax.progress import progress_bar
from train.data import captions_of
from train.evaluation.probe import probe
from train.evaluation.retrieval import measure_retrieval
from train.evaluation.scores import score, score_of_chance, score_of_majority
from train.evaluation.zero_shot import nearest_labels
from train.feature_shards import Features
from train.features import FeatureStore
from train.run import TrainedRun
from train.run_record import record_start
from train.smarthome.dataset import WindowSplit

Report = dict[str, Any]
"""What evaluation.json holds: nested dictionaries of strings and numbers; scores are shares in [0, 1]."""

WINDOWS_AT_ONCE = 4096  # whose features are embedded together
NOT_MEASURED = "not_measured"  # the key that stands in place of scores, with the reason


@dataclass(frozen=True)
class Measured:
    """The numbers of a run, and what pictures show of it.

    Attributes:
        report: "run", "retrieval" and "recognition".
        labels: Label of each validation window, "" where it has none.
        windows_NxD: Embeddings of the validation windows.
        descriptions: Label → embedding of its description; empty where they could not be embedded.
        predictions: Way of recognition → predicted label of each validation window that has one.
    """

    report: Report
    labels: list[str]
    windows_NxD: Float[np.ndarray, "n d"]
    descriptions: dict[str, Float[np.ndarray, " d"]]
    predictions: dict[str, list[str]]


def measure(run: TrainedRun, train_split: WindowSplit, val_split: WindowSplit) -> Measured:
    """Measures a run on its validation split.

    Raises:
        ValueError: The splits or the encoder are not those that the run was trained with.
    """
    inputs = {"train": train_split.fingerprint, "validation": val_split.fingerprint, "encoder": run.encoder.identity}
    record_start(run.config, inputs, run.text_inputs)  # on a run that is there, this compares
    store = FeatureStore(run.config.features_dir or run.config.output_dir / "features", run.config.num_workers)
    train_features, val_features = (store.get(split, run.encoder) for split in (train_split, val_split))
    train_NxD, val_NxD = _embed(run, train_features), _embed(run, val_features)
    report: Report = {
        "run": {
            "encoder": run.config.encoder,
            "weights": run.config.chronos_model_name if run.config.encoder == "chronos2" else None,
            "step": run.step,
            "train_windows": len(train_split),
            "validation_windows": len(val_split),
        }
    }
    train_labels, val_labels = train_split.labels(), val_split.labels()
    descriptions: dict[str, np.ndarray] = {}
    predictions: dict[str, list[str]] = {}
    with progress_bar() as progress:
        task = progress.add_task(f"measuring {run.config.encoder}", total=4)
        report["retrieval"] = _retrieval(run, val_NxD, captions_of(val_split, run.config))
        progress.advance(task)

        known_N, asked_M = np.array(train_labels) != "", np.array(val_labels) != ""
        known, truths = ([label for label in labels if label] for labels in (train_labels, val_labels))
        if not known or not truths:
            report["recognition"] = {NOT_MEASURED: "a split has no window with a label"}
            return Measured(report, val_labels, val_NxD, descriptions, predictions)
        candidates = sorted({*known, *truths})
        texts = train_split.header.label_to_text | val_split.header.label_to_text

        def zero_shot() -> list[str]:
            described_LxD = run.embed_texts([texts[label] for label in candidates])
            descriptions.update(zip(candidates, described_LxD, strict=True))
            return nearest_labels(val_NxD[asked_M], described_LxD, candidates)

        ways: dict[str, Callable[[], list[str]]] = {
            "zero_shot": zero_shot,
            "probe_of_embedding": lambda: probe(train_NxD[known_N], known, val_NxD[asked_M]),
            "probe_of_encoder": lambda: probe(
                train_features[np.flatnonzero(known_N)], known, val_features[np.flatnonzero(asked_M)]
            ),
        }
        recognition: Report = {
            "windows": len(truths),
            "labels": len(candidates),
            "chance": asdict(score_of_chance(truths, candidates)),
            "majority": asdict(score_of_majority(truths, known)),
        }
        for way, predict in ways.items():
            try:
                predictions[way] = predict()
            except ValueError as error:  # such as a file of text embeddings that lacks the descriptions
                recognition[way] = {NOT_MEASURED: str(error)}
            else:
                recognition[way] = asdict(score(truths, predictions[way]))
            progress.advance(task)
    report["recognition"] = recognition
    return Measured(report, val_labels, val_NxD, descriptions, predictions)


def _embed(run: TrainedRun, features: Features) -> Float[np.ndarray, "n d"]:
    """Embeddings of all windows; of their features only some are in memory at a time."""
    windows = np.arange(len(features))
    parts = [windows[start : start + WINDOWS_AT_ONCE] for start in range(0, len(windows), WINDOWS_AT_ONCE)]
    return np.concatenate([run.embed_features(features[part]) for part in parts])


def _retrieval(run: TrainedRun, windows_NxD: Float[np.ndarray, "n d"], captions: Sequence[Sequence[str]]) -> Report:
    """Recall both ways between windows and different captions; equal captions are one."""
    numbers: dict[str, int] = {}
    pairs = [(row, numbers.setdefault(text, len(numbers))) for row, texts in enumerate(captions) for text in set(texts)]
    rows, columns = np.array(pairs).T
    matches = csr_array((np.ones(len(pairs), bool), (rows, columns)), shape=(len(captions), len(numbers)))
    captions_CxD = run.embed_texts(list(numbers))
    return {
        "window_to_caption": asdict(measure_retrieval(windows_NxD, captions_CxD, matches)),
        "caption_to_window": asdict(measure_retrieval(captions_CxD, windows_NxD, matches.T.tocsr())),
    }
