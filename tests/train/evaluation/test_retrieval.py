from itertools import combinations, permutations
from math import comb

import numpy as np
import pytest
from scipy.sparse import csr_array

from train.evaluation import retrieval
from train.evaluation.bootstrap import Resampling, means_with_intervals
from train.evaluation.retrieval import KS, Places, find, measure_retrieval

EYE = np.eye(4)


def matches(*rows: list[int]) -> csr_array:
    return csr_array(np.array(rows, dtype=bool))


def alone(queries: int) -> Resampling:
    return Resampling("windows", np.arange(queries))


def hit(similarity: list[float], matching: list[bool], k: int) -> float:
    (probability,) = find(np.array([similarity]), csr_array(np.array([matching]))).recall(k)
    return float(probability)


def reciprocal(similarity: list[float], matching: list[bool]) -> float:
    (expected,) = find(np.array([similarity]), csr_array(np.array([matching]))).reciprocal_rank()
    return float(expected)


def test_a_match_counts_from_its_rank_on() -> None:
    """The match is third of four."""
    similarity, matching = [0.9, 0.1, 0.5, 0.8], [False, False, True, False]
    assert [hit(similarity, matching, k) for k in (1, 2, 3, 4)] == [0, 0, 1, 1]
    assert reciprocal(similarity, matching) == pytest.approx(1 / 3)


def test_the_best_of_several_matches_counts() -> None:
    """Matches are last and second."""
    similarity, matching = [0.9, 0.1, 0.5, 0.8], [False, True, False, True]
    assert [hit(similarity, matching, k) for k in (1, 2, 3)] == [0, 1, 1]
    assert reciprocal(similarity, matching) == pytest.approx(1 / 2)


def test_ties_are_broken_at_random() -> None:
    """One candidate is above, the match is one of three equal ones: behind it with probability 1/3 per place."""
    similarity, matching = [0.9, 0.5, 0.5, 0.5], [False, True, False, False]
    assert [hit(similarity, matching, k) for k in (1, 2, 3, 4)] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert reciprocal(similarity, matching) == pytest.approx((1 / 2 + 1 / 3 + 1 / 4) / 3)


def test_several_matches_among_equals_make_a_hit_likelier() -> None:
    """Two of four equal ones: 1 - C(2, k) / C(4, k)."""
    expected = [1 - comb(2, k) / comb(4, k) for k in (1, 2, 3)]
    assert [hit([0.5] * 4, [True, True, False, False], k) for k in (1, 2, 3)] == pytest.approx(expected)


@pytest.mark.parametrize("above", [0, 1, 3])
@pytest.mark.parametrize(("tied", "matching"), [(1, 1), (4, 1), (4, 2), (5, 3), (4, 4)])
def test_the_reciprocal_rank_is_the_mean_over_all_orders_of_equals(above: int, tied: int, matching: int) -> None:
    orders = permutations([True] * matching + [False] * (tied - matching))
    expected = np.mean([1 / (above + order.index(True) + 1) for order in orders])
    places = Places(*(np.array([count]) for count in (above, tied, matching)))
    assert places.reciprocal_rank() == pytest.approx([expected])


def test_recall_by_hand() -> None:
    """Windows 0 and 1 find a caption of theirs at rank 1, window 2 at rank 2, window 3 at rank 4."""
    windows = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0.6, 0, 0.5, 0.4], [0.5, 0.3, 0.2, 0.1]])
    relevant = matches([1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1])
    found = measure_retrieval(windows, EYE, relevant, alone(4), ks=(1, 2, 4))
    assert (found["queries"], found["candidates"]) == (4, 4)
    assert [found[f"recall_at_{k}"]["value"] for k in (1, 2, 4)] == [0.5, 0.75, 1.0]
    assert [found[f"recall_at_{k}"]["chance"] for k in (1, 2, 4)] == pytest.approx(
        [(2 / 4 + 3 * 1 / 4) / 4, (1 - 1 / 6 + 3 * 1 / 2) / 4, 1.0]
    )
    assert found["mean_reciprocal_rank"]["value"] == pytest.approx((1 + 1 + 1 / 2 + 1 / 4) / 4)


def test_intervals_are_those_of_the_queries_own_values() -> None:
    windows = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0.6, 0, 0.5, 0.4], [0.5, 0.3, 0.2, 0.1]])
    found = measure_retrieval(windows, EYE, matches(*np.eye(4, dtype=int).tolist()), alone(4), ks=(1,))
    expected = means_with_intervals({"own": np.array([1.0, 1.0, 0.0, 0.0])}, alone(4))["own"]
    assert found["recall_at_1"] == expected | {"chance": 0.25}


def test_chance_is_that_of_every_ranking_on_average() -> None:
    """All ways to draw the first three of seven candidates, and all places of the first match, counted."""
    matching = {0: [0], 1: [2, 3], 2: [0, 1, 5, 6]}
    relevant = np.array([[column in own for column in range(7)] for own in matching.values()])
    draws = list(combinations(range(7), 3))
    expected = np.mean([any(place in own for place in draw) for own in matching.values() for draw in draws])
    found = measure_retrieval(np.zeros((3, 2)), np.zeros((7, 2)), csr_array(relevant), alone(3), ks=(3,))
    assert found["recall_at_3"]["chance"] == pytest.approx(expected)
    reciprocals = [
        np.mean([1 / (1 + min(places)) for places in combinations(range(7), len(own))]) for own in matching.values()
    ]
    assert found["mean_reciprocal_rank"]["chance"] == pytest.approx(np.mean(reciprocals))


def test_chance_is_what_random_embeddings_come_to() -> None:
    rng = np.random.default_rng(0)
    relevant = rng.random((2000, 40)) < 0.05
    relevant[np.arange(2000), rng.integers(40, size=2000)] = True
    found = measure_retrieval(
        rng.standard_normal((2000, 64)), rng.standard_normal((40, 64)), csr_array(relevant), alone(2000)
    )
    for name in ("recall_at_1", "recall_at_5", "mean_reciprocal_rank"):
        assert found[name]["value"] == pytest.approx(found[name]["chance"], abs=0.03)


def test_a_model_that_tells_nothing_apart_has_the_scores_of_chance() -> None:
    rng = np.random.default_rng(0)
    relevant = rng.random((20, 30)) < 0.1
    relevant[:, 0] = True
    found = measure_retrieval(np.ones((20, 3)), np.ones((30, 3)), csr_array(relevant), alone(20))
    for name in (*(f"recall_at_{k}" for k in KS), "mean_reciprocal_rank"):
        assert found[name]["value"] == pytest.approx(found[name]["chance"])


def test_equal_candidates_are_equals_however_a_product_rounds() -> None:
    """Each window's text is that of 37 others, too: none of them is nearer than another."""
    rng = np.random.default_rng(0)
    texts = rng.standard_normal((7, 65)).astype(np.float32)[np.arange(7 * 37) % 7]
    own = csr_array(np.eye(len(texts), dtype=bool))
    found = measure_retrieval(texts, texts, own, alone(len(texts)), ks=(1, 37))
    assert found["recall_at_1"]["value"] == pytest.approx(1 / 37)
    assert found["recall_at_37"]["value"] == pytest.approx(1)
    assert found["mean_reciprocal_rank"]["value"] == pytest.approx((1 / np.arange(1, 38)).mean())


def test_fewer_candidates_than_k_are_all_found() -> None:
    found = measure_retrieval(EYE, EYE, matches(*np.eye(4, dtype=int).tolist()), alone(4))
    assert [found[f"recall_at_{k}"]["value"] for k in KS] == [1, 1, 1, 1]
    assert [found[f"recall_at_{k}"]["chance"] for k in KS] == pytest.approx([0.25, 1, 1, 1])


def test_blocks_of_queries_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    windows, texts = rng.standard_normal((11, 4)), rng.standard_normal((9, 4))
    relevant = csr_array(np.arange(9)[None, :] % 3 == np.arange(11)[:, None] % 3)
    whole = measure_retrieval(windows, texts, relevant, alone(11))
    monkeypatch.setattr(retrieval, "SIMILARITIES_AT_ONCE", 4 * 9)
    assert measure_retrieval(windows, texts, relevant, alone(11)) == whole


def test_a_query_without_a_match_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"1 of 2 queries match no candidate \(the first is number 1\)"):
        measure_retrieval(EYE[:2], EYE, matches([1, 0, 0, 0], [0, 0, 0, 0]), alone(2))
