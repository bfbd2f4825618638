from functools import reduce

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from train.moments import Moments


def features(rows: int) -> np.ndarray:
    """Means and deviations of very different size: sums of squares in float32 would know nothing of the second."""
    rng = np.random.default_rng(rows)
    return rng.normal([0.0, 1e4, -3e-3, 5.0], [1.0, 1e-1, 1e-4, 0.0], size=(rows, 4)).astype(np.float32)


@given(st.integers(1, 60), st.lists(st.integers(1, 59), max_size=5))
def test_parts_have_together_the_moments_of_the_whole(rows: int, cuts: list[int]) -> None:
    whole = features(rows)
    parts = [part for part in np.split(whole, sorted(set(cuts) & set(range(rows)))) if len(part)]
    together = reduce(Moments.merged, map(Moments.of, parts))
    assert together.rows == rows
    exact = whole.astype(np.float64)
    np.testing.assert_allclose(together.mean_F, exact.mean(axis=0), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(together.deviation(), exact.std(axis=0), rtol=1e-9, atol=1e-15)
