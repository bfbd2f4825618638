import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from train.evaluation.bootstrap import Resampling
from train.evaluation.clustering import agreement, measure_clustering

MEASURES = ("adjusted_rand", "normalized_mutual_information", "purity")


def table(clusters: np.ndarray, labels: np.ndarray) -> np.ndarray:
    counts = np.zeros((1, clusters.max() + 1, labels.max() + 1))
    np.add.at(counts[0], (clusters, labels), 1)
    return counts


def test_agreement_by_hand() -> None:
    """Clusters {a, a, b} and {b, b}: 4 of 5 windows have the label of their cluster's majority; of 10 pairs, 2 are
    together in both, 4 by cluster, 4 by label, of which 1.6 are expected."""
    found = agreement(np.array([[[2.0, 1.0], [0.0, 2.0]]]))
    assert found["purity"] == pytest.approx([0.8])
    assert found["adjusted_rand"] == pytest.approx([(2 - 1.6) / (4 - 1.6)])


@pytest.mark.parametrize("seed", range(5))
def test_agreement_is_that_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(4, size=60)
    clusters = np.where(rng.random(60) < 0.5, labels, rng.integers(6, size=60))
    found = agreement(table(clusters, labels))
    assert found["adjusted_rand"] == pytest.approx([adjusted_rand_score(labels, clusters)])
    assert found["normalized_mutual_information"] == pytest.approx([normalized_mutual_info_score(labels, clusters)])


@pytest.mark.parametrize("counts", [[[[5.0]]], [[[0.0, 5.0], [0.0, 0.0]]], [[[3.0, 0.0], [0.0, 4.0]]]])
def test_what_agrees_scores_one_even_as_a_single_group(counts: list[list[list[float]]]) -> None:
    assert [float(values[0]) for values in agreement(np.array(counts)).values()] == pytest.approx([1, 1, 1])


def test_one_cluster_says_nothing_of_two_labels() -> None:
    found = agreement(np.array([[[3.0, 3.0], [0.0, 0.0]]]))
    assert [float(found[name][0]) for name in MEASURES] == pytest.approx([0, 0, 0.5])


def clouds(labels: np.ndarray, spread: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    windows = np.eye(3)[labels] + spread * rng.standard_normal((len(labels), 3))
    return (windows / np.linalg.norm(windows, axis=1, keepdims=True)).astype(np.float32)


def measured(spread: float) -> dict[str, dict[str, float]]:
    labels = np.arange(120) % 3
    found = measure_clustering(
        clouds(labels, spread), [f"label {own}" for own in labels], Resampling("windows", np.arange(120))
    )
    assert (found["windows"], found["clusters"]) == (120, 3)
    return found


def test_activities_that_lie_apart_are_found() -> None:
    found = measured(0.05)
    for name in MEASURES:
        assert found[name]["value"] == pytest.approx(1)
        assert found[name]["interval"] == pytest.approx([1, 1])
        assert found[name]["chance"] < 0.5


def test_what_says_nothing_is_at_chance_and_within_its_interval() -> None:
    found = measured(1e4)
    for name in MEASURES:
        low, high = found[name]["interval"]
        assert low <= found[name]["value"] <= high
        assert low - 0.02 < found[name]["chance"] < high + 0.02
    assert found["adjusted_rand"]["chance"] == 0
    assert found["purity"]["chance"] > 1 / 3


def test_it_is_the_same_every_time() -> None:
    assert measured(1) == measured(1)


def test_equal_embeddings_are_one_cluster() -> None:
    found = measure_clustering(np.ones((6, 2)), ["a", "b"] * 3, Resampling("windows", np.arange(6)))
    assert found["clusters"] == 1
    assert found["purity"]["value"] == 0.5


def test_one_label_is_nothing_to_compare_with() -> None:
    with pytest.raises(ValueError, match="at least 2 labels"):
        measure_clustering(np.eye(3), ["a"] * 3, Resampling("windows", np.arange(3)))
