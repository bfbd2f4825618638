"""All measures of a run on its validation split, as evaluation.json holds them.

A number is {"value", "interval", "chance", "majority"}: the value measured, its bootstrap interval, what a random
ranking, a uniform guess or randomly permuted clusters come to, and, of recognition, what the most frequent label of the
training windows as the only answer does. Scores are shares in [0, 1]. In place of what cannot be measured stands
{"not_measured": why}.

    run            encoder, weights, text, seed, step, train_windows, validation_windows
    intervals      level, method and number of resamples
    retrieval      resampled (units: "days" or "windows"; count)
                   exact, multi_positive → window_to_caption, caption_to_window →
                       queries, candidates, and the numbers recall_at_1, _5, _10, _50, mean_reciprocal_rank
    recognition    resampled, windows (those with a label), labels
                   zero_shot, linear_probe_of_embedding, neighbours_probe_of_embedding, linear_probe_of_encoder,
                   neighbours_probe_of_encoder → the numbers accuracy, balanced_accuracy, macro_f1, weighted_f1, and
                       per_class → label → windows, and the numbers precision, recall, f1
    clustering     resampled, windows, clusters, and the numbers adjusted_rand, normalized_mutual_information, purity
    baseline_statistics   run, retrieval, recognition, clustering of the same towers on the statistics encoder; or null
    seeds          null, or seeds (a list) and the four above over runs that differ in their seed; there a number is
                   {"value": mean, "half_width": of its 95 % t-interval, "values": of each seed, "chance", "majority"}

Intervals are percentiles over resamples of days, or of windows, see `Resampling`; those of clustering are shifted
around their values, which windows that are drawn twice would raise.

"exact": each window has one text, the mean of its captions' embeddings, and only its own is right. "multi_positive":
each distinct caption is a candidate or a query, and whatever has it is right.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

from chronos_jax.progress import progress_bar
from train.config import TrainConfig
from train.data import captions_of, open_splits
from train.evaluation.bootstrap import LEVEL, RESAMPLES, Resampling
from train.evaluation.clustering import measure_clustering
from train.evaluation.retrieval import measure_retrieval
from train.evaluation.scores import score
from train.evaluation.ways import WAYS, Ways, embed
from train.evaluation.zero_shot import nearest_labels
from train.run import TrainedRun, feature_store
from train.run_record import record_start

Report = dict[str, Any]
"""What evaluation.json holds, or a part of it."""

STEPS = len(WAYS) + 2  # and both forms of retrieval

NO_LABELS = "a split has no window with a label"
NOT_MEASURED = "not_measured"  # the key that stands in place of scores, with the reason


@dataclass(frozen=True)
class Texts:
    """Distinct captions of the validation windows.

    Attributes:
        texts: In order of their first window.
        embeddings_CxD: Their unit embeddings.
        matches_NxC: Which of them each window has.
    """

    texts: list[str]
    embeddings_CxD: Float[np.ndarray, "c d"]
    matches_NxC: csr_array


@dataclass(frozen=True)
class Measured:
    """The numbers of a run, and what pictures show of it.

    Attributes:
        report: "run", "retrieval", "recognition" and "clustering".
        windows_NxD: Embeddings of the validation windows.
        texts: Of these.
        descriptions: Label → embedding of its description; empty where they could not be embedded.
        predictions: Way of recognition → predicted label of each validation window, with a label or not.
    """

    report: Report
    windows_NxD: Float[np.ndarray, "n d"]
    texts: Texts
    descriptions: dict[str, Float[np.ndarray, " d"]]
    predictions: dict[str, list[str]]


class Evaluation:
    """Two splits that runs are measured on which differ in encoder or seed; what they share is computed once.

    Attributes:
        labels: Label of each validation window, "" where it has none.
        starts: When each begins, ISO 8601, "" where unknown.
        ends: When it ends.
        rooms: Its rooms.
        captions: Its captions, as the runs are configured.
    """

    def __init__(self, config: TrainConfig) -> None:
        """Reads what is known of the windows of a run's splits.

        Raises:
            FileNotFoundError, ValueError: As `open_splits` and `captions_of`.
        """
        self._splits = open_splits(config)
        train_labels = self._splits[0].labels()
        windows = [(window.label, window.start, window.end, window.rooms) for window in self._splits[1]]
        self.labels, self.starts, self.ends, self.rooms = (list(column) for column in zip(*windows, strict=True))
        self.captions = captions_of(self._splits[1], config)
        self._known = [label for label in train_labels if label]
        self._labelled_M = np.flatnonzero(np.array(self.labels) != "")
        self._truths = [self.labels[window] for window in self._labelled_M]
        self._candidates = sorted({*self._known, *self._truths})
        self._resampling = Resampling.of([self.starts[window] for window in self._labelled_M])
        self._ways = Ways(train_labels)

    def measure(self, run: TrainedRun) -> Measured:
        """Measures a run on its validation split.

        Raises:
            ValueError: The splits or the encoder are not those that the run was trained with.
        """
        train, validation = self._splits
        inputs = {"train": train.fingerprint, "validation": validation.fingerprint, "encoder": run.encoder.identity}
        record_start(run.config, inputs, run.text_inputs)  # on a run that is there, this compares
        train_features, val_features = (feature_store(run.config).get(split, run.encoder) for split in self._splits)
        windows_NxD = embed(run, val_features, np.arange(len(val_features)))
        texts = self._embed_captions(run)
        descriptions: dict[str, np.ndarray] = {}
        predictions: dict[str, list[str]] = {}
        reasons: dict[str, str] = {}
        with progress_bar() as progress:
            task = progress.add_task(f"measuring {run.config.encoder}", total=STEPS)
            retrieval = self._retrieval(windows_NxD, texts, lambda: progress.advance(task))
            if self._known and self._truths:
                probes = self._ways.probes(run, train_features, val_features, windows_NxD)
                ways = {"zero_shot": lambda: self._zero_shot(run, windows_NxD, descriptions), **probes}
                for way, predict in ways.items():
                    try:
                        predictions[way] = predict()
                    except ValueError as error:  # such as a file of text embeddings that lacks the descriptions
                        reasons[way] = str(error)
                    progress.advance(task)
            report = {
                "run": {
                    "encoder": run.config.encoder,
                    "weights": run.config.chronos_model_name if run.config.encoder == "chronos2" else None,
                    "text": run.config.text_model_name,
                    "seed": run.config.seed,
                    "step": run.step,
                    "train_windows": len(train),
                    "validation_windows": len(validation),
                },
                "retrieval": retrieval,
                "recognition": self._recognition(predictions, reasons),
                "clustering": self._clustering(windows_NxD),
            }
        return Measured(report, windows_NxD, texts, descriptions, predictions)

    def _zero_shot(
        self, run: TrainedRun, windows_NxD: Float[np.ndarray, "n d"], descriptions: dict[str, np.ndarray]
    ) -> list[str]:
        wordings = self._splits[0].header.label_to_text | self._splits[1].header.label_to_text
        described_LxD = run.embed_labels({label: wordings[label] for label in self._candidates})
        descriptions.update(zip(self._candidates, described_LxD, strict=True))
        return nearest_labels(windows_NxD, described_LxD, self._candidates)

    def _recognition(self, predictions: Mapping[str, Sequence[str]], reasons: Mapping[str, str]) -> Report:
        if not self._known or not self._truths:
            return {NOT_MEASURED: NO_LABELS}
        report: Report = {
            "resampled": self._resampling.described(),
            "windows": len(self._truths),
            "labels": len(self._candidates),
        }
        for way in WAYS:
            if way in reasons:
                report[way] = {NOT_MEASURED: reasons[way]}
            else:
                answers = [predictions[way][window] for window in self._labelled_M.tolist()]
                report[way] = score(self._truths, answers, self._resampling, self._candidates, self._known)
        return report

    def _clustering(self, windows_NxD: Float[np.ndarray, "n d"]) -> Report:
        if not self._truths:
            return {NOT_MEASURED: NO_LABELS}
        try:
            measured = measure_clustering(windows_NxD[self._labelled_M], self._truths, self._resampling)
        except ValueError as error:
            return {NOT_MEASURED: str(error)}
        return {"resampled": self._resampling.described(), **measured}

    def _embed_captions(self, run: TrainedRun) -> Texts:
        """Distinct captions in the order in which training numbers them, so that what it stored of them is found."""
        numbers: dict[str, int] = {}
        own = [[numbers.setdefault(text, len(numbers)) for text in dict.fromkeys(texts)] for texts in self.captions]
        rows = np.repeat(np.arange(len(own)), [len(columns) for columns in own])
        entries = np.ones(len(rows), np.float32), (rows, np.concatenate(own))
        matches_NxC = csr_array(entries, shape=(len(own), len(numbers)))
        return Texts(list(numbers), run.embed_texts(list(numbers), keep=True), matches_NxC)

    def _retrieval(self, windows_NxD: Float[np.ndarray, "n d"], texts: Texts, advance: Callable[[], object]) -> Report:
        resampling = Resampling.of(self.starts)
        report: Report = {"resampled": resampling.described()}
        windows_N = np.arange(len(windows_NxD))
        own_NxN = csr_array((np.ones(len(windows_N)), (windows_N, windows_N)))
        mean_NxD = texts.matches_NxC @ texts.embeddings_CxD
        mean_NxD /= np.maximum(np.linalg.norm(mean_NxD, axis=1, keepdims=True), np.finfo(mean_NxD.dtype).tiny)
        windows_CxN = texts.matches_NxC.T.tocsr()
        first_window_C = windows_CxN.indices[windows_CxN.indptr[:-1]]
        report["exact"] = {
            "window_to_caption": measure_retrieval(windows_NxD, mean_NxD, own_NxN, resampling),
            "caption_to_window": measure_retrieval(mean_NxD, windows_NxD, own_NxN, resampling),
        }
        advance()
        report["multi_positive"] = {
            "window_to_caption": measure_retrieval(windows_NxD, texts.embeddings_CxD, texts.matches_NxC, resampling),
            "caption_to_window": measure_retrieval(
                texts.embeddings_CxD, windows_NxD, windows_CxN, resampling.of_windows(first_window_C)
            ),
        }
        advance()
        return report


def intervals() -> Report:
    """How the intervals of all numbers are made."""
    return {"level": LEVEL, "method": "percentile bootstrap", "resamples": RESAMPLES}
