"""Embeddings in a plane."""

import numpy as np
from jaxtyping import Float, Float32
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

PERPLEXITY = 30.0  # about how many neighbours a point has; scikit-learn's default
COMPONENTS = 50  # principal ones, in which distances between neighbours are taken
LEAST_DIFFERENT = 5  # points of which neighbourhoods say something


def principal_plane(
    windows_NxD: Float[np.ndarray, "n d"], others_MxD: Float[np.ndarray, "m d"]
) -> tuple[Float32[np.ndarray, "n 2"], Float32[np.ndarray, "m 2"], tuple[float, float]]:
    """The plane of the two principal components of the windows.

    Args:
        windows_NxD: At least one window.
        others_MxD: What is shown in that plane, too.

    Returns:
        Places of both in the plane, and the shares of the windows' variance along its axes.
    """
    components = min(2, *windows_NxD.shape)
    plane = PCA(components, svd_solver="full")
    # Products this small are slower on several threads, and sums in another order would give other places.
    with threadpool_limits(1), np.errstate(invalid="ignore", divide="ignore"):  # equal windows have no variance
        windows_Nx2, others_Mx2 = plane.fit_transform(windows_NxD), _transform(plane, others_MxD)
    padding = [(0, 0), (0, 2 - components)]
    shares = np.pad(np.nan_to_num(plane.explained_variance_ratio_), padding[1])
    return (
        np.pad(windows_Nx2, padding).astype(np.float32),
        np.pad(others_Mx2, padding).astype(np.float32),
        (float(shares[0]), float(shares[1])),
    )


def neighbourhoods(points_NxD: Float[np.ndarray, "n d"]) -> Float32[np.ndarray, "n 2"] | None:
    """t-SNE: places in the plane at which neighbours stay neighbours, while distances between groups say little.

    Returns:
        The same places for the same points; None where too few of them differ.
    """
    points, width = points_NxD.shape
    if len(np.unique(points_NxD, axis=0)) < LEAST_DIFFERENT:
        return None
    with threadpool_limits(1):  # OpenMP too: threads sum in any order, and t-SNE enlarges the smallest difference
        reduced_NxC = PCA(min(COMPONENTS, points, width), svd_solver="full").fit_transform(points_NxD)
        perplexity = min(PERPLEXITY, (points - 1) / 3)
        return TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(reduced_NxC).astype(np.float32)


def _transform(plane: PCA, others_MxD: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "m c"]:
    return plane.transform(others_MxD) if len(others_MxD) else np.zeros((0, plane.n_components_))
