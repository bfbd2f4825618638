import numpy as np
import pytest

from convert.chronos2_verification import Outputs, compare
from convert.verification import BOUND


def test_every_quantity_is_compared_and_only_where_it_means_something():
    def outputs(**changes: float) -> Outputs:
        arrays = {
            "embedding": np.full((1, 3, 2), 2.0),
            "forecast": np.full((1, 2, 4), -8.0),
            "loc": np.full((1, 1), 3.0),
            "scale": np.full((1, 1), 4.0),
        }
        for name, change in changes.items():
            arrays[name][0, 0] += change
        return Outputs(**arrays)

    everywhere, not_first = np.ones((1, 3), bool), np.array([[False, True, True]])
    same = dict.fromkeys(Outputs._fields, 0.0)
    assert compare(outputs(), outputs(), everywhere) == same
    assert compare(outputs(embedding=1e-3), outputs(), everywhere) == same | {"embedding": pytest.approx(5e-4)}
    assert compare(outputs(embedding=1e-3), outputs(), not_first) == same
    assert compare(outputs(forecast=1e-3), outputs(), everywhere) == same | {"forecast": pytest.approx(1.25e-4)}
    assert compare(outputs(loc=1e-3), outputs(), everywhere) == same | {"loc": pytest.approx(2.5e-4)}
    assert compare(outputs(scale=1e-3), outputs(), everywhere) == same | {"scale": pytest.approx(2.5e-4)}
    assert not compare(outputs(forecast=np.nan), outputs(), everywhere)["forecast"] <= BOUND
