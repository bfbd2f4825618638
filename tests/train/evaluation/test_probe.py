import numpy as np
import pytest

from train.evaluation.probe import probe


def clouds(seed: int) -> tuple[np.ndarray, list[str]]:
    """Two classes that differ in a feature of tiny size, beside a large one that says nothing."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(["cook", "sleep"], 200)
    telling = np.where(labels == "cook", 1e-4, -1e-4) + rng.normal(0, 1e-5, 200)
    return np.stack([telling, rng.normal(0, 1e3, 200)], axis=1).astype(np.float32), labels.tolist()


def test_it_reads_what_is_linear_in_the_features_whatever_their_size() -> None:
    features, labels = clouds(0)
    unseen, truths = clouds(1)
    assert probe(features, labels, unseen) == truths


def test_it_cannot_read_what_is_not_there() -> None:
    features, labels = clouds(0)
    unseen, truths = clouds(1)
    predicted = probe(features[:, 1:], labels, unseen[:, 1:])
    assert np.mean(np.array(predicted) == np.array(truths)) < 0.65


def test_one_label_is_nothing_to_learn() -> None:
    with pytest.raises(ValueError, match="at least 2 labels"):
        probe(np.zeros((3, 2)), ["cook"] * 3, np.zeros((1, 2)))
