"""Mean and spread of features that do not fit in memory together, from those of their parts."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64


class Moments(NamedTuple):
    """What rows contribute to mean and variance: few float64 numbers for any number of rows.

    Attributes:
        rows: How many there are.
        mean_F: Their mean.
        squares_F: Sum of the squared deviations from that mean. Sums of plain squares would cancel where a mean is
            large beside its deviation.
    """

    rows: int
    mean_F: Float64[np.ndarray, " f"]
    squares_F: Float64[np.ndarray, " f"]

    @classmethod
    def of(cls, features_BxF: Float[np.ndarray, "b f"]) -> "Moments":
        """Those of at least one row, in two passes."""
        mean_F = features_BxF.mean(axis=0, dtype=np.float64)
        return cls(len(features_BxF), mean_F, np.square(features_BxF - mean_F[None, :]).sum(axis=0))

    def merged(self, other: "Moments") -> "Moments":
        """Those of both sets of rows together (Chan, Golub and LeVeque 1979)."""
        rows = self.rows + other.rows
        apart_F = other.mean_F - self.mean_F
        mean_F = self.mean_F + apart_F * (other.rows / rows)
        squares_F = self.squares_F + other.squares_F + np.square(apart_F) * (self.rows * other.rows / rows)
        return Moments(rows, mean_F, squares_F)

    def deviation(self) -> Float64[np.ndarray, " f"]:
        """Square root of the mean squared deviation from the mean."""
        return np.sqrt(self.squares_F / self.rows)
