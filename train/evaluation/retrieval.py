"""Cross-modal retrieval: how often what belongs to a query is among the k candidates most like it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array
from scipy.stats import hypergeom

KS = (1, 5, 10)
QUERIES_AT_ONCE = 1024  # rows of the similarity matrix in memory


@dataclass(frozen=True)
class Retrieval:
    """Recall at k, and that of a random ranking.

    Attributes:
        queries: Number of queries.
        candidates: Number of candidates that each query ranks.
        recall: k → share of the queries with at least one match among the first k candidates.
        chance: k → the same, expected of a random ranking.
    """

    queries: int
    candidates: int
    recall: dict[int, float]
    chance: dict[int, float]


def measure_retrieval(
    query_QxD: Float[np.ndarray, "q d"],
    candidate_CxD: Float[np.ndarray, "c d"],
    matches_QxC: csr_array,
    ks: Sequence[int] = KS,
) -> Retrieval:
    """Ranks all candidates for each query by cosine similarity.

    Args:
        query_QxD: Unit vectors.
        candidate_CxD: Unit vectors.
        matches_QxC: Non-zero where a candidate belongs to a query; several may.
        ks: How many of the first candidates count. Where there are fewer candidates, all of them do.

    Raises:
        ValueError: A query has no match, so that it cannot be answered at all.
    """
    queries, candidates = matches_QxC.shape
    count_Q = np.diff(matches_QxC.indptr)
    if len(unanswerable := np.flatnonzero(count_Q == 0)):
        raise ValueError(
            f"{len(unanswerable)} of {queries} queries match no candidate (the first is number {unanswerable[0]}): "
            "leave them out before measuring"
        )
    hits = np.zeros(len(ks))
    for start in range(0, queries, QUERIES_AT_ONCE):
        rows = slice(start, start + QUERIES_AT_ONCE)
        similarity_BxC = query_QxD[rows] @ candidate_CxD.T
        matches_BxC = matches_QxC[rows].toarray() != 0
        hits += [hit_probability(similarity_BxC, matches_BxC, k).sum() for k in ks]
    everything_Q = np.full(queries, candidates)
    chance = [_probability_of_a_match(everything_Q, count_Q, np.minimum(k, everything_Q)).mean() for k in ks]
    return Retrieval(
        queries,
        candidates,
        recall={k: float(hit / queries) for k, hit in zip(ks, hits, strict=True)},
        chance={k: float(value) for k, value in zip(ks, chance, strict=True)},
    )


def hit_probability(
    similarity_QxC: Float[np.ndarray, "q c"], matches_QxC: Bool[np.ndarray, "q c"], k: int
) -> Float[np.ndarray, " q"]:
    """Probability that at least one match is among the first k candidates: 0 or 1, but for ties.

    Candidates of equal similarity are in random order, so that a model that gives the same embedding to everything has
    the recall of chance, not that of the order in which the candidates happen to be stored.

    Args:
        similarity_QxC: Any finite score, higher is nearer.
        matches_QxC: At least one match in every row.
        k: At least 1.
    """
    best_Qx1 = np.where(matches_QxC, similarity_QxC, -np.inf).max(axis=1, keepdims=True)
    above_Q = (similarity_QxC > best_Qx1).sum(axis=1)
    tied_QxC = similarity_QxC == best_Qx1
    tied_Q, tied_matches_Q = tied_QxC.sum(axis=1), (tied_QxC & matches_QxC).sum(axis=1)
    return _probability_of_a_match(tied_Q, tied_matches_Q, np.clip(k - above_Q, 0, tied_Q))


def _probability_of_a_match(
    candidates_Q: Int[np.ndarray, " q"], matches_Q: Int[np.ndarray, " q"], drawn_Q: Int[np.ndarray, " q"]
) -> Float[np.ndarray, " q"]:
    """Probability that candidates drawn without replacement have a match: 1 - C(N - m, k) / C(N, k)."""
    return 1.0 - hypergeom.pmf(0, candidates_Q, matches_Q, drawn_Q)
