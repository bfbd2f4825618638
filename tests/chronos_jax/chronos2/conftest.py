"""A tiny pipeline, and inputs of several shapes."""

import pytest
from reference import walks

from chronos_jax import Chronos2Pipeline


@pytest.fixture(scope="session")
def pipeline():
    return Chronos2Pipeline.from_pretrained("random:tiny")


@pytest.fixture(scope="session")
def ragged():
    """Two buckets of variates, two of lengths; few, because each shape that a test computes is a compilation."""
    shapes = [(1, 17), (3, 40), (1, 33), (3, 64), (3, 20), (1, 60), (3, 30), (1, 64), (3, 55)]
    return [walks(*shape, seed=i) for i, shape in enumerate(shapes)]
