import numpy as np

from train.evaluation.zero_shot import label_probabilities, nearest_labels

DESCRIPTIONS = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
WINDOWS = np.array([[0.6, 0.8], [0.8, 0.6], [-0.8, 0.6], [0.0, -1.0]])


def test_a_window_gets_the_label_of_the_nearest_description() -> None:
    assert nearest_labels(WINDOWS, DESCRIPTIONS, ["a", "b", "c"]) == ["b", "a", "c", "a"]


def test_probabilities_are_the_softmax_of_scaled_cosines() -> None:
    """Of the first window, cosines are 0.6, 0.8 and -0.6: with scale 5, e³, e⁴ and e⁻³."""
    probability_NxL = label_probabilities(WINDOWS, DESCRIPTIONS, 5.0)
    np.testing.assert_allclose(probability_NxL.sum(axis=1), np.ones(4))
    weights = np.exp([3.0, 4.0, -3.0])
    np.testing.assert_allclose(probability_NxL[0], weights / weights.sum())
    assert probability_NxL[:3].argmax(axis=1).tolist() == [1, 0, 2]


def test_a_large_scale_does_not_overflow() -> None:
    probability_NxL = label_probabilities(WINDOWS, DESCRIPTIONS, 1e4)
    np.testing.assert_allclose(probability_NxL[:3], np.eye(3)[[1, 0, 2]])
