import jax.numpy as jnp
import numpy as np
import pytest

from chronos_jax.chronos2.pooling import check_pooling, pool, pooled_positions

HIDDEN = jnp.arange(2 * 3 * 5 * 2, dtype=jnp.float32).reshape(2, 3, 5, 2)  # 3 patches, REG, one future patch
MASK = jnp.array(
    [
        [[0, 1, 1, 1, 1], [1, 0, 0, 1, 1], [0, 0, 0, 0, 0]],  # late start, early end, only fills up
        [[0, 0, 0, 1, 1], [0, 0, 0, 1, 1], [0, 0, 0, 1, 1]],  # nothing observed
    ],
    bool,
)

TARGETS = jnp.array([[1, 1, 0], [1, 1, 1]], bool)


def pooled(targets, pooling, pool_variates):
    return pool(HIDDEN[:, :, pooled_positions(pooling, 3)], MASK, targets, 3, pooling, pool_variates)


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("mean", [(HIDDEN[0, 0, 1] + HIDDEN[0, 0, 2]) / 2, HIDDEN[0, 1, 0]]),
        ("max", [HIDDEN[0, 0, 2], HIDDEN[0, 1, 0]]),
        ("last", [HIDDEN[0, 0, 2], HIDDEN[0, 1, 0]]),
        ("reg", [HIDDEN[0, 0, 3], HIDDEN[0, 1, 3]]),
    ],
)
def test_padding_is_never_pooled(pooling, expected):
    by_variate = pooled(TARGETS, pooling, pool_variates=False)
    np.testing.assert_array_equal(by_variate[0], [*expected, jnp.zeros(2)])
    whole = pooled(TARGETS, pooling, pool_variates=True)
    over_variates = jnp.max if pooling == "max" else jnp.mean
    np.testing.assert_allclose(whole[0], over_variates(jnp.stack(expected), axis=0))


def test_covariates_are_not_pooled():
    only_first = jnp.array([[1, 0, 0], [1, 0, 0]], bool)
    np.testing.assert_array_equal(
        pooled(only_first, "mean", pool_variates=True)[0],
        (HIDDEN[0, 0, 1] + HIDDEN[0, 0, 2]) / 2,
    )


@pytest.mark.parametrize("pooling", ["mean", "max", "last", "reg"])
def test_nothing_observed_is_zero(pooling):
    np.testing.assert_array_equal(pooled(TARGETS, pooling, pool_variates=True)[1], jnp.zeros(2))


def test_unknown_pooling_and_an_absent_reg_token_are_refused():
    with pytest.raises(ValueError, match="must be one of mean, max, reg, last or None, found 'cls'"):
        check_pooling("cls", use_reg_token=True)
    with pytest.raises(ValueError, match="no REG token"):
        check_pooling("reg", use_reg_token=False)
