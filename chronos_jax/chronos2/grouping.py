"""Group ids, as the reference takes them, to the dense (group, variate) layout and back."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int, Shaped


class GroupLayout(NamedTuple):
    """Where each of B series stands in the dense layout.

    Attributes:
        series_GxV: Index of the series at each place; 0 at places that only fill up a group.
        variate_mask_GxV: False at those places.
        group_B: Row of each series.
        variate_B: Column of each series.
    """

    series_GxV: Int[np.ndarray, "g v"]
    variate_mask_GxV: Bool[np.ndarray, "g v"]
    group_B: Int[np.ndarray, " b"]
    variate_B: Int[np.ndarray, " b"]

    def scatter(self, x_B: Shaped[np.ndarray, "b *rest"]) -> Shaped[np.ndarray, "g v *rest"]:
        """One entry a series to the dense layout; places that fill up a group repeat the first series."""
        return x_B[self.series_GxV]

    def gather(self, x_GxV: Shaped[np.ndarray, "g v *rest"]) -> Shaped[np.ndarray, "b *rest"]:
        """The dense layout to one entry a series, in their own order."""
        return x_GxV[self.group_B, self.variate_B]


def group_layout(group_ids_B: Int[np.ndarray, " b"]) -> GroupLayout:
    """Dense layout for series with these group ids; groups in order of their ids, series in their own order.

    The values of the ids mean nothing, series of one group need not be neighbours, groups may differ in size: V is the
    largest. Series of sizes far apart are better given to the model in several calls.
    """
    _, group_B, sizes_G = np.unique(group_ids_B, return_inverse=True, return_counts=True)
    order_B = np.argsort(group_B, kind="stable")
    starts_G = np.cumsum(sizes_G) - sizes_G
    variate_B = np.empty_like(group_B)
    variate_B[order_B] = np.arange(group_B.size) - starts_G[group_B[order_B]]
    series_GxV = np.zeros((sizes_G.size, sizes_G.max(initial=0)), dtype=np.int64)
    series_GxV[group_B, variate_B] = np.arange(group_B.size)
    mask_GxV = np.arange(series_GxV.shape[1])[None, :] < sizes_G[:, None]
    return GroupLayout(series_GxV, mask_GxV, group_B, variate_B)
