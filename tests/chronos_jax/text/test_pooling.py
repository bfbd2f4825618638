import jax.numpy as jnp
import numpy as np
import pytest

from chronos_jax.text.pooling import pool, unit

HIDDEN = np.array([[[1.0, -2.0], [3.0, -4.0], [99.0, 99.0]], [[-5.0, 6.0], [7.0, 8.0], [9.0, 1.0]]], np.float32)
LENGTHS = np.array([2, 3], np.int32)


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("mean", [[2.0, -3.0], [11 / 3, 5.0]]),
        ("cls", [[1.0, -2.0], [-5.0, 6.0]]),
        ("max", [[3.0, -2.0], [9.0, 8.0]]),
    ],
)
def test_padding_is_never_pooled(pooling, expected):
    np.testing.assert_allclose(pool(jnp.array(HIDDEN), jnp.array(LENGTHS), pooling), expected, rtol=1e-6)


def test_unit_leaves_zero_at_zero():
    np.testing.assert_allclose(unit(jnp.array([[3.0, 4.0], [0.0, 0.0]])), [[0.6, 0.8], [0.0, 0.0]])
