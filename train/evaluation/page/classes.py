"""Precision, recall and F1 of each activity."""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import precision_recall_fscore_support

from train.evaluation.page.content import Page


@dataclass(frozen=True)
class ClassScores:
    """An activity: its windows, precision, recall and F1 of the first way of recognition, and F1 of the other ways."""

    label: str
    windows: int
    precision: float
    recall: float
    f1: float
    others: list[float]


def scores_of_classes(page: Page) -> list[ClassScores]:
    """A row for each label that a window has, the most frequent first; shares in [0, 1].

    An activity that is never predicted has precision zero. Empty without labels or predictions.
    """
    known = [index for index, label in enumerate(page.labels) if label]
    labels = [label for label in page.styles if label and page.styles[label].count]
    if not known or not page.predictions:
        return []
    truths = [page.labels[index] for index in known]
    scores_WxSxL = np.stack(
        [
            precision_recall_fscore_support(
                truths, [predicted[index] for index in known], labels=labels, zero_division=0
            )[:3]
            for predicted in page.predictions.values()
        ]
    )
    return [
        ClassScores(label, page.styles[label].count, precision, recall, f1, others_W.tolist())
        for label, (precision, recall, f1), others_W in zip(
            labels, scores_WxSxL[0].T.tolist(), scores_WxSxL[1:, 2].T, strict=True
        )
    ]
