from dataclasses import asdict

import numpy as np
import pytest

from train.evaluation.scores import score, score_of_chance, score_of_majority

TRUTHS = ["cook", "cook", "cook", "sleep"]


def test_macro_f1_is_over_the_labels_that_occur() -> None:
    """Cook: 2 of 3 found, 1 wrong prediction, F1 2/3. Sleep: never found, F1 0. "eat" is predicted but no truth."""
    assert asdict(score(TRUTHS, ["cook", "cook", "eat", "cook"])) == pytest.approx({"accuracy": 0.5, "macro_f1": 1 / 3})


def test_chance_is_what_guessing_comes_to() -> None:
    rng = np.random.default_rng(0)
    truths = TRUTHS * 5_000
    guessed = score(truths, rng.choice(["cook", "sleep", "eat"], len(truths)).tolist())
    expected = score_of_chance(truths, ["cook", "eat", "sleep"])
    assert expected.accuracy == 1 / 3
    assert expected.accuracy == pytest.approx(guessed.accuracy, abs=0.02)
    assert expected.macro_f1 == pytest.approx(guessed.macro_f1, abs=0.02)


def test_the_majority_is_that_of_the_training_windows() -> None:
    """Always "sleep": 1 of 4 right; F1 of sleep is 2 · 1 / (4 + 1), of cook 0."""
    scores = score_of_majority(TRUTHS, ["sleep", "eat", "sleep"])
    assert asdict(scores) == pytest.approx({"accuracy": 0.25, "macro_f1": 0.2})
