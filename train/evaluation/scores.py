"""Scores of predicted activities, and those of guessing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.metrics import accuracy_score, f1_score


@dataclass(frozen=True)
class Scores:
    """Share of right predictions, and the mean of F1 over the labels that occur among the truths."""

    accuracy: float
    macro_f1: float


def score(truths: Sequence[str], predictions: Sequence[str]) -> Scores:
    """Scores of one prediction per truth. A label that is never predicted has F1 zero."""
    macro_f1 = f1_score(truths, predictions, labels=sorted(set(truths)), average="macro", zero_division=0)
    return Scores(float(accuracy_score(truths, predictions)), float(macro_f1))


def score_of_chance(truths: Sequence[str], candidates: Sequence[str]) -> Scores:
    """Scores of guessing uniformly among the candidates: the expected accuracy, and F1 of the expected counts.

    Of n truths, m with a label, guessing among K candidates gets m / K of them right and predicts the label n / K
    times, hence F1 = 2 (m / K) / (n / K + m).
    """
    count, share = len(truths), 1 / len(candidates)
    _, occurrences = np.unique(truths, return_counts=True)
    f1 = 2 * occurrences * share / (count * share + occurrences)
    return Scores(share, float(f1.mean()))


def score_of_majority(truths: Sequence[str], training_labels: Sequence[str]) -> Scores:
    """Scores of always predicting the most frequent label of the training split."""
    classifier = DummyClassifier(strategy="most_frequent").fit(np.zeros((len(training_labels), 1)), training_labels)
    return score(truths, classifier.predict(np.zeros((len(truths), 1))).tolist())
