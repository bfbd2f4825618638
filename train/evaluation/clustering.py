"""Clustering: whether windows of one activity lie together, without any label or description being used."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import entr
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from train.evaluation.bootstrap import Resampling, measures_with_intervals

STARTS = 10  # of k-means, the best of which counts
PERMUTATIONS = 100
SEED = 0
ROUNDING = 1e-9


def measure_clustering(
    windows_NxD: Float[np.ndarray, "n d"], labels: Sequence[str], resampling: Resampling
) -> dict[str, Any]:
    """k-means with as many clusters as there are labels (or different embeddings), compared with the labels.

    Args:
        windows_NxD: Embeddings of windows.
        labels: One per window.
        resampling: Of the windows. The clusters stay as they are.

    Returns:
        Numbers of "windows" and "clusters"; "adjusted_rand", "normalized_mutual_information" (by the mean of both
        entropies) and "purity" (the share of windows with the most frequent label of their cluster). Each has "value",
        "interval" and "chance", the mean over random permutations of the clusters; of adjusted Rand that is expected to
        be 0.

    Raises:
        ValueError: All windows have one label.
    """
    names, label_N = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"clusters need at least 2 labels to be compared with, found {set(labels)}")
    clusters = min(len(names), len(np.unique(windows_NxD, axis=0)))
    # One thread: on several, sums over windows are in an order that depends on how they run.
    with threadpool_limits(1):
        means = KMeans(clusters, init="k-means++", n_init=STARTS, random_state=SEED)
        cluster_N = means.fit_predict(windows_NxD).astype(int)
    shape = (clusters, len(names))
    measured = measures_with_intervals(cluster_N, label_N, shape, agreement, resampling, centred=True)
    rng = np.random.default_rng(SEED)
    permuted_PxN = (rng.permutation(cluster_N) for _ in range(PERMUTATIONS))
    tables = [
        np.bincount(cluster_N * len(names) + label_N, minlength=clusters * len(names)) for cluster_N in permuted_PxN
    ]
    random = agreement(np.stack(tables).reshape(-1, *shape).astype(np.float64))
    random["adjusted_rand"] = np.zeros(1)  # by its definition
    return {
        "windows": len(labels),
        "clusters": clusters,
        **{name: number | {"chance": float(random[name].mean())} for name, number in measured.items()},
    }


def agreement(table_RxKxL: Float[np.ndarray, "r k l"]) -> dict[str, Float[np.ndarray, " r"]]:
    """Adjusted Rand index, normalised mutual information and purity of tables (cluster, label) of counts.

    Where both sides are a single group they agree: the first two are 1.
    """
    cluster_RxK, label_RxL, count_R = table_RxKxL.sum(axis=2), table_RxKxL.sum(axis=1), table_RxKxL.sum(axis=(1, 2))
    together_R, in_cluster_R, in_label_R, all_R = (
        (counts * (counts - 1) / 2).reshape(len(counts), -1).sum(axis=1)
        for counts in (table_RxKxL, cluster_RxK, label_RxL, count_R)
    )
    expected_R = in_cluster_R * in_label_R / np.maximum(all_R, 1)
    highest_R = (in_cluster_R + in_label_R) / 2
    of_cells_R, of_clusters_R, of_labels_R = (
        _entropy(counts.reshape(len(counts), -1)) for counts in (table_RxKxL, cluster_RxK, label_RxL)
    )
    information_R = np.maximum(of_clusters_R + of_labels_R - of_cells_R, 0)
    mean_entropy_R = (of_clusters_R + of_labels_R) / 2
    return {
        "adjusted_rand": _share(together_R - expected_R, highest_R - expected_R),
        "normalized_mutual_information": _share(information_R, mean_entropy_R),
        "purity": table_RxKxL.max(axis=2).sum(axis=1) / count_R,
    }


def _entropy(counts_RxC: Float[np.ndarray, "r c"]) -> Float[np.ndarray, " r"]:
    share_RxC = counts_RxC / counts_RxC.sum(axis=1, keepdims=True)
    return entr(share_RxC).sum(axis=1)


def _share(part_R: Float[np.ndarray, " r"], whole_R: Float[np.ndarray, " r"]) -> Float[np.ndarray, " r"]:
    return np.divide(part_R, whole_R, out=np.ones_like(part_R), where=whole_R > ROUNDING)
