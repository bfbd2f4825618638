import numpy as np
import pytest

from train.evaluation.probe import NEIGHBOURS, TEMPERATURE, linear_probe, neighbours_probe


def clouds(seed: int) -> tuple[np.ndarray, list[str]]:
    """Two classes that differ in a feature of tiny size, beside a large one that says nothing."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(["cook", "sleep"], 200)
    telling = np.where(labels == "cook", 1e-4, -1e-4) + rng.normal(0, 1e-5, 200)
    return np.stack([telling, rng.normal(0, 1e3, 200)], axis=1).astype(np.float32), labels.tolist()


def share_right(predicted: list[str], truths: list[str]) -> float:
    return float(np.mean(np.array(predicted) == np.array(truths)))


def test_a_linear_probe_reads_what_is_linear_in_the_features_whatever_their_size() -> None:
    features, labels = clouds(0)
    unseen, truths = clouds(1)
    assert linear_probe(features, labels)(unseen) == truths


def test_neighbours_read_it_where_features_are_standardised() -> None:
    """Unless they are, two large features hide it."""
    (features, labels), (unseen, truths) = clouds(0), clouds(1)
    more, further = clouds(2)[0][:, 1:], clouds(3)[0][:, 1:]
    train, validation = np.concatenate([features, more], axis=1), np.concatenate([unseen, further], axis=1)
    assert share_right(neighbours_probe(train, labels, standardise=True)(validation), truths) > 0.95
    assert share_right(neighbours_probe(train, labels, standardise=False)(validation), truths) < 0.65


def test_neither_can_read_what_is_not_there() -> None:
    features, labels = clouds(0)
    unseen, truths = clouds(1)
    for probe in (linear_probe(features[:, 1:], labels), neighbours_probe(features[:, 1:], labels, standardise=True)):
        assert share_right(probe(unseen[:, 1:]), truths) < 0.65


def test_near_neighbours_outvote_many_that_are_less_near() -> None:
    """By angle, whatever the length: two windows at 10° against eighteen at 60°, and others further away."""
    angles = np.deg2rad([10, -10, *np.linspace(60, 61, 18), *np.linspace(170, 190, 30)])
    labels = ["sleep"] * 2 + ["cook"] * 18 + ["eat"] * 30
    lengths = np.linspace(0.1, 9, len(angles))
    train = lengths[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert 2 * np.exp(np.cos(np.deg2rad(10)) / TEMPERATURE) > 18 * np.exp(np.cos(np.deg2rad(60)) / TEMPERATURE)
    assert neighbours_probe(train, labels, standardise=False)(np.array([[5.0, 0.0], [0.1, 0.01]])) == ["sleep", "sleep"]
    # At 40° they are equally near, nearly, and the many win.
    assert neighbours_probe(train, labels, standardise=False)(np.array([[0.766, 0.643]])) == ["cook"]


def test_fewer_windows_than_neighbours_all_vote() -> None:
    train = np.array([[1.0, 0.0], [0.0, 1.0], [0.1, 1.0]])
    assert len(train) < NEIGHBOURS
    assert neighbours_probe(train, ["cook", "sleep", "sleep"], standardise=False)(train) == ["cook", "sleep", "sleep"]


@pytest.mark.parametrize("make", [linear_probe, lambda *data: neighbours_probe(*data, standardise=True)])
def test_one_label_is_nothing_to_learn(make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match="at least 2 labels"):
        make(np.zeros((3, 2)), ["cook"] * 3)
