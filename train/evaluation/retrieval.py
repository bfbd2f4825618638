"""Cross-modal retrieval: how near to the top of a query's ranking the first of its matches is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from scipy.special import digamma
from scipy.stats import hypergeom

from train.evaluation.bootstrap import Resampling, means_with_intervals

KS = (1, 5, 10, 50)
SIMILARITIES_AT_ONCE = 2**25  # in memory


@dataclass(frozen=True)
class Places:
    """Where the best matches of each query are in its ranking.

    Candidates of equal similarity are in random order, so that a model that gives the same embedding to everything has
    the scores of chance, not those of the order in which the candidates happen to be stored.

    Attributes:
        above_Q: Candidates that are more similar to the query than its best match.
        tied_Q: Candidates that are as similar as the best match, with itself.
        matches_Q: Those among them that match.
    """

    above_Q: Int[np.ndarray, " q"]
    tied_Q: Int[np.ndarray, " q"]
    matches_Q: Int[np.ndarray, " q"]

    def recall(self, k: int) -> Float[np.ndarray, " q"]:
        """Probability that at least one match is among the first k candidates: 0 or 1, but for ties."""
        drawn_Q = np.clip(k - self.above_Q, 0, self.tied_Q)
        # Drawn without replacement, none of k is a match with probability C(N - m, k) / C(N, k).
        cases_Ux3, of_query_Q = _distinct(self.tied_Q, self.matches_Q, drawn_Q)
        return 1.0 - hypergeom.pmf(0, *cases_Ux3.T)[of_query_Q]

    def reciprocal_rank(self) -> Float[np.ndarray, " q"]:
        """Expected 1 / rank of the first match.

        Of m matches among N in random order the first is at place j with probability C(N - j, m - 1) / C(N, m). With
        nothing above, the sum over j is m / (N - m + 1) · (H(N) - H(m - 1)), and for a single match behind others
        (H(above + N) - H(above)) / N, with the harmonic numbers H(n) = digamma(n + 1) + const.
        """
        above_Q, tied_Q, matches_Q = self.above_Q, self.tied_Q, self.matches_Q
        at_top_Q = matches_Q / (tied_Q - matches_Q + 1) * (digamma(tied_Q + 1) - digamma(matches_Q))
        single_Q = (digamma(above_Q + tied_Q + 1) - digamma(above_Q + 1)) / tied_Q
        expected_Q = np.where(above_Q == 0, at_top_Q, single_Q)
        behind_Q = (above_Q > 0) & (matches_Q > 1)
        cases_Ux3, of_query_B = _distinct(above_Q[behind_Q], tied_Q[behind_Q], matches_Q[behind_Q])
        summed_U = np.array([_sum_over_places(*case) for case in cases_Ux3.tolist()], np.float64)
        expected_Q[behind_Q] = summed_U[of_query_B]
        return expected_Q


def measure_retrieval(
    query_QxD: Float[np.ndarray, "q d"],
    candidate_CxD: Float[np.ndarray, "c d"],
    matches_QxC: csr_array,
    resampling: Resampling,
    ks: Sequence[int] = KS,
) -> dict[str, int | dict[str, float | list[float]]]:
    """Ranks all candidates for each query by cosine similarity.

    Args:
        query_QxD: Unit vectors.
        candidate_CxD: Unit vectors.
        matches_QxC: Non-zero where a candidate belongs to a query; several may.
        resampling: Of the queries.
        ks: How many of the first candidates count. Where there are fewer candidates, all of them do.

    Returns:
        Numbers of "queries" and "candidates"; for each k "recall_at_k", the share of the queries with at least one
        match among the first k; and "mean_reciprocal_rank", of the first match. Each has "value", "interval" and
        "chance", which is expected of a random ranking.

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
    # Equal candidates are compared once: in a product of matrices two equal columns can differ by rounding.
    distinct_UxD, of_candidate_C = np.unique(candidate_CxD, axis=0, return_inverse=True)
    at_once = max(1, SIMILARITIES_AT_ONCE // candidates)
    blocks = [slice(first, first + at_once) for first in range(0, queries, at_once)]
    all_differ = len(distinct_UxD) == candidates

    def similarities(rows: slice) -> Float[np.ndarray, "b c"]:
        if all_differ:
            return query_QxD[rows] @ candidate_CxD.T
        return (query_QxD[rows] @ distinct_UxD.T)[:, of_candidate_C]

    found = [find(similarities(rows), csr_array(matches_QxC[rows])) for rows in blocks]
    places = Places(
        np.concatenate([block.above_Q for block in found]),
        np.concatenate([block.tied_Q for block in found]),
        np.concatenate([block.matches_Q for block in found]),
    )
    shuffled = Places(np.zeros(queries, int), np.full(queries, candidates), count_Q)

    def scores(of: Places) -> dict[str, Float[np.ndarray, " q"]]:
        return {f"recall_at_{k}": of.recall(k) for k in ks} | {"mean_reciprocal_rank": of.reciprocal_rank()}

    ours, chance = means_with_intervals(scores(places), resampling), scores(shuffled)
    beside_chance = {name: ours[name] | {"chance": float(chance[name].mean())} for name in ours}
    return {"queries": queries, "candidates": candidates, **beside_chance}


def find(similarity_QxC: Float[np.ndarray, "q c"], matches_QxC: csr_array) -> Places:
    """Where the best matches are in the rankings by these similarities.

    Args:
        similarity_QxC: Any finite score, higher is nearer.
        matches_QxC: At least one match in every row.
    """
    first_Q = matches_QxC.indptr[:-1]
    query_E = np.repeat(np.arange(len(first_Q)), np.diff(matches_QxC.indptr))
    similarity_E = similarity_QxC[query_E, matches_QxC.indices]
    best_Qx1 = np.maximum.reduceat(similarity_E, first_Q)[:, None]
    is_best_E = similarity_E == best_Qx1[query_E, 0]
    return Places(
        (similarity_QxC > best_Qx1).sum(axis=1),
        (similarity_QxC == best_Qx1).sum(axis=1),
        np.add.reduceat(is_best_E.astype(int), first_Q),
    )


def _distinct(*counts_Q: Int[np.ndarray, " q"]) -> tuple[Int[np.ndarray, "u 3"], Int[np.ndarray, " q"]]:
    """Different combinations of counts, which are few, and which of them each query has."""
    cases_Ux3, of_query_Q = np.unique(np.stack(counts_Q, axis=1), axis=0, return_inverse=True)
    return cases_Ux3, of_query_Q


def _sum_over_places(above: int, tied: int, matches: int) -> float:
    """Expected 1 / rank of the first of `matches` among `tied` candidates in random order, behind others."""
    place_J = np.arange(1, tied - matches + 2)
    none_before_J = np.cumprod(np.concatenate([[1.0], 1 - matches / (tied - place_J[:-1] + 1)]))
    return float((none_before_J * matches / (tied - place_J + 1) / (above + place_J)).sum())
