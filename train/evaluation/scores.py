"""Scores of recognition from tables of true against predicted labels, and those of guessing."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from train.evaluation.bootstrap import Resampling, measures_with_intervals

SCORES = ("accuracy", "balanced_accuracy", "macro_f1", "weighted_f1")
SCORES_OF_A_CLASS = ("precision", "recall", "f1")


def score(
    truths: Sequence[str],
    predictions: Sequence[str],
    resampling: Resampling,
    candidates: Sequence[str],
    training_labels: Sequence[str],
) -> dict[str, Any]:
    """Scores of one prediction per truth, with bootstrap intervals, beside those of guessing.

    Args:
        truths: At least one.
        predictions: As many.
        resampling: Of these windows.
        candidates: Labels to choose from; of truths, predictions and training windows, none is missing among them.
        training_labels: Of the training windows, which say what is guessed as the majority.

    Returns:
        Each of `SCORES`, with "value", "interval", "chance" (a uniform guess among the candidates) and "majority"
        (always the most frequent label of the training windows), and "per_class": for each label among the truths the
        number of "windows" and each of `SCORES_OF_A_CLASS`, likewise. Those of guesses are of the expected table.
    """
    number = {label: index for index, label in enumerate(candidates)}
    rows_N, columns_N = (np.array([number[label] for label in labels]) for labels in (truths, predictions))
    shape = (len(candidates), len(candidates))
    measured = measures_with_intervals(rows_N, columns_N, shape, _named, resampling)
    windows_L = np.bincount(rows_N, minlength=len(candidates))
    chance_LxL = np.repeat(windows_L[:, None] / len(candidates), len(candidates), axis=1)
    majority_LxL = np.zeros(shape)
    majority_LxL[:, number[most_frequent(training_labels)]] = windows_L
    for guess, table_LxL in (("chance", chance_LxL), ("majority", majority_LxL)):
        for name, value in _named(table_LxL[None]).items():
            if name in measured:
                measured[name][guess] = float(value[0])
    per_class = {
        label: {
            "windows": int(windows_L[index]),
            **{name: measured[f"{name} {index}"] for name in SCORES_OF_A_CLASS},
        }
        for label, index in number.items()
        if windows_L[index]
    }
    return {name: measured[name] for name in SCORES} | {"per_class": per_class}


def most_frequent(labels: Sequence[str]) -> str:
    """The most frequent label; of equals the first by alphabet."""
    return min(Counter(labels).items(), key=lambda counted: (-counted[1], counted[0]))[0]


def _named(table_RxLxL: Float[np.ndarray, "r l l"]) -> dict[str, Float[np.ndarray, " r"]]:
    """Every score of tables (true, predicted) of counts, of class number i as "f1 i"; NaN where it has no windows.

    Means are over the labels that occur among the truths of the table. A label that is never predicted has precision 0.
    """
    right_RxL = np.diagonal(table_RxLxL, axis1=1, axis2=2)
    true_RxL, predicted_RxL = table_RxLxL.sum(axis=2), table_RxLxL.sum(axis=1)
    occurs_RxL = np.where(true_RxL > 0, 1.0, np.nan)
    scores_RxL = {
        "precision": right_RxL / np.maximum(predicted_RxL, np.finfo(float).tiny) * occurs_RxL,
        "recall": right_RxL / (true_RxL * occurs_RxL),
        "f1": 2 * right_RxL / ((true_RxL + predicted_RxL) * occurs_RxL),
    }
    count_R = true_RxL.sum(axis=1)
    named = {
        "accuracy": right_RxL.sum(axis=1) / count_R,
        "balanced_accuracy": np.nanmean(scores_RxL["recall"], axis=1),
        "macro_f1": np.nanmean(scores_RxL["f1"], axis=1),
        "weighted_f1": np.nansum(scores_RxL["f1"] * true_RxL, axis=1) / count_R,
    }
    return named | {f"{name} {i}": own[:, i] for name, own in scores_RxL.items() for i in range(own.shape[1])}
