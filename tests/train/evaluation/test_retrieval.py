from itertools import combinations
from math import comb

import numpy as np
import pytest
from scipy.sparse import csr_array

from train.evaluation import retrieval
from train.evaluation.retrieval import hit_probability, measure_retrieval

EYE = np.eye(4)


def matches(*rows: list[int]) -> csr_array:
    return csr_array(np.array(rows, dtype=bool))


def hit(similarity: list[float], matching: list[bool], k: int) -> float:
    (probability,) = hit_probability(np.array([similarity]), np.array([matching]), k)
    return float(probability)


def test_a_match_counts_from_its_rank_on() -> None:
    """The match is third of four."""
    assert [hit([0.9, 0.1, 0.5, 0.8], [False, False, True, False], k) for k in (1, 2, 3, 4)] == [0, 0, 1, 1]


def test_the_best_of_several_matches_counts() -> None:
    """Matches are last and second."""
    assert [hit([0.9, 0.1, 0.5, 0.8], [False, True, False, True], k) for k in (1, 2, 3)] == [0, 1, 1]


def test_ties_are_broken_at_random() -> None:
    """One candidate is above, the match is one of three equal ones: behind it with probability 1/3 per place."""
    assert [hit([0.9, 0.5, 0.5, 0.5], [False, True, False, False], k) for k in (1, 2, 3, 4)] == pytest.approx(
        [0, 1 / 3, 2 / 3, 1]
    )


def test_several_matches_among_equals_make_a_hit_likelier() -> None:
    """Two of four equal ones: 1 - C(2, k) / C(4, k)."""
    expected = [1 - comb(2, k) / comb(4, k) for k in (1, 2, 3)]
    assert [hit([0.5] * 4, [True, True, False, False], k) for k in (1, 2, 3)] == pytest.approx(expected)


def test_recall_by_hand() -> None:
    """Windows 0 and 1 find a caption of theirs at rank 1, window 2 at rank 2, window 3 at rank 4."""
    windows = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0.6, 0, 0.5, 0.4], [0.5, 0.3, 0.2, 0.1]])
    found = measure_retrieval(
        windows, EYE, matches([1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]), ks=(1, 2, 4)
    )
    assert (found.queries, found.candidates) == (4, 4)
    assert found.recall == {1: 0.5, 2: 0.75, 4: 1.0}
    assert found.chance == pytest.approx({1: (2 / 4 + 3 * 1 / 4) / 4, 2: (1 - 1 / 6 + 3 * 1 / 2) / 4, 4: 1.0})


def test_chance_is_the_recall_of_every_ranking_on_average() -> None:
    """All ways to draw the first three of seven candidates, counted."""
    matching = {0: [0], 1: [2, 3], 2: [0, 1, 5, 6]}
    relevant = np.array([[column in own for column in range(7)] for own in matching.values()])
    draws = list(combinations(range(7), 3))
    expected = np.mean([any(place in own for place in draw) for own in matching.values() for draw in draws])
    found = measure_retrieval(np.zeros((3, 2)), np.zeros((7, 2)), csr_array(relevant), ks=(3,))
    assert found.chance[3] == pytest.approx(expected)


def test_a_model_that_tells_nothing_apart_has_the_recall_of_chance() -> None:
    rng = np.random.default_rng(0)
    relevant = rng.random((20, 30)) < 0.1
    relevant[:, 0] = True
    found = measure_retrieval(np.ones((20, 3)), np.ones((30, 3)), csr_array(relevant))
    assert found.recall == pytest.approx(found.chance)


def test_fewer_candidates_than_k_are_all_found() -> None:
    found = measure_retrieval(EYE, EYE, matches(*np.eye(4, dtype=int).tolist()))
    assert found.recall == {1: 1.0, 5: 1.0, 10: 1.0}
    assert found.chance == pytest.approx({1: 0.25, 5: 1.0, 10: 1.0})


def test_blocks_of_queries_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    windows, texts = rng.standard_normal((11, 4)), rng.standard_normal((9, 4))
    relevant = csr_array(np.arange(9)[None, :] % 3 == np.arange(11)[:, None] % 3)
    whole = measure_retrieval(windows, texts, relevant)
    monkeypatch.setattr(retrieval, "QUERIES_AT_ONCE", 4)
    assert measure_retrieval(windows, texts, relevant) == whole


def test_a_query_without_a_match_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"1 of 2 queries match no candidate \(the first is number 1\)"):
        measure_retrieval(EYE[:2], EYE, matches([1, 0, 0, 0], [0, 0, 0, 0]))
