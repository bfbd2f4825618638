import numpy as np

from train.evaluation.zero_shot import nearest_labels


def test_a_window_gets_the_label_of_the_nearest_description() -> None:
    descriptions = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    windows = np.array([[0.6, 0.8], [0.8, 0.6], [-0.8, 0.6], [0.0, -1.0]])
    assert nearest_labels(windows, descriptions, ["a", "b", "c"]) == ["b", "a", "c", "a"]
