from typing import Any

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, precision_recall_fscore_support

from train.evaluation.bootstrap import Resampling
from train.evaluation.scores import SCORES, SCORES_OF_A_CLASS, most_frequent, score

LABELS = ["cook", "eat", "sleep"]
TRUTHS = ["cook", "cook", "cook", "sleep"]


def scored(truths: list[str], predictions: list[str], training_labels: list[str] = ["cook"]) -> dict[str, Any]:  # noqa: B006
    return score(truths, predictions, Resampling("windows", np.arange(len(truths))), LABELS, training_labels)


def values(scores: dict[str, Any], key: str = "value") -> list[float]:
    return [scores[name][key] for name in SCORES]


def test_scores_by_hand() -> None:
    """Cook: 2 of 3 found, 1 wrong prediction, F1 2/3. Sleep: never found, F1 0. "eat" is predicted but no truth."""
    scores = scored(TRUTHS, ["cook", "cook", "eat", "cook"])
    assert values(scores) == pytest.approx([0.5, 1 / 3, 1 / 3, 0.5])
    assert scores["per_class"].keys() == {"cook", "sleep"}
    cook, sleep = scores["per_class"]["cook"], scores["per_class"]["sleep"]
    assert (cook["windows"], sleep["windows"]) == (3, 1)
    assert [cook[name]["value"] for name in SCORES_OF_A_CLASS] == pytest.approx([2 / 3] * 3)
    assert [sleep[name]["value"] for name in SCORES_OF_A_CLASS] == [0, 0, 0]


def test_scores_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truths, predictions = rng.choice(["cook", "sleep"], 200).tolist(), rng.choice(LABELS, 200).tolist()
    found = sorted(set(truths))
    each = precision_recall_fscore_support(truths, predictions, labels=found, zero_division=0)
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        balanced = balanced_accuracy_score(truths, predictions)
    f1 = [f1_score(truths, predictions, labels=found, average=kind, zero_division=0) for kind in ("macro", "weighted")]
    scores = scored(truths, predictions)
    assert values(scores) == pytest.approx([np.mean(np.array(truths) == predictions), balanced, *f1])
    for name, expected in zip(SCORES_OF_A_CLASS, each[:3], strict=True):
        assert [scores["per_class"][label][name]["value"] for label in found] == pytest.approx(expected)


def test_intervals_hold_their_values_and_narrow_with_more_windows() -> None:
    predictions = ["cook", "cook", "eat", "cook"]
    few, many = (scored(TRUTHS * times, predictions * times) for times in (10, 160))
    for name in SCORES:
        (low, high), (lower, higher) = few[name]["interval"], many[name]["interval"]
        assert low <= lower <= many[name]["value"] <= higher <= high
        assert higher - lower == pytest.approx((high - low) / 4, rel=0.3)


def test_chance_is_what_guessing_comes_to() -> None:
    truths = TRUTHS * 5_000
    guessed = scored(truths, np.random.default_rng(0).choice(LABELS, len(truths)).tolist())
    assert guessed["accuracy"]["chance"] == guessed["balanced_accuracy"]["chance"] == pytest.approx(1 / 3)
    assert values(guessed, "chance") == pytest.approx(values(guessed), abs=0.02)
    for name in SCORES_OF_A_CLASS:
        own = guessed["per_class"]["cook"][name]
        assert own["chance"] == pytest.approx(own["value"], abs=0.02)


def test_the_majority_is_that_of_the_training_windows() -> None:
    """Always "sleep": 1 of 4 right; F1 of sleep is 2 · 1 / (4 + 1), of cook 0."""
    scores = scored(TRUTHS, TRUTHS, ["sleep", "eat", "sleep"])
    assert values(scores, "majority") == pytest.approx([0.25, 0.5, 0.2, 0.1])
    assert values(scores) == [1, 1, 1, 1]


def test_of_equally_frequent_labels_the_first_by_alphabet() -> None:
    assert most_frequent(["sleep", "cook", "cook", "sleep", "eat"]) == "cook"
