import jax
import jax.numpy as jnp
import numpy as np

from chronos_jax.layers.instance_norm import CONSTANT_SCALE, denormalize, location_and_scale, normalize


def scaled(x):
    x = jnp.asarray(x, jnp.float32)
    return location_and_scale(x, ~jnp.isnan(x))


def test_location_and_scale_are_mean_and_population_deviation_of_what_is_observed():
    loc, scale = scaled([[np.nan, 1.0, 2.0, 6.0, np.nan]])
    np.testing.assert_allclose(loc, [[3.0]])
    np.testing.assert_allclose(scale, [[np.sqrt(14 / 3)]], rtol=1e-6)


def test_a_masked_value_is_never_read():
    x = jnp.array([[1.0, 1e30, 3.0]])
    loc, scale = location_and_scale(x, jnp.array([[True, False, True]]))
    assert (float(loc[0, 0]), float(scale[0, 0])) == (2.0, 1.0)


def test_a_constant_series_becomes_zero_whatever_its_value_and_length():
    for length in (1, 7, 50, 513):
        x = jnp.full((1, length), 0.1, jnp.float32)
        loc, scale = scaled(x)
        assert float(scale[0, 0]) == np.float32(CONSTANT_SCALE)
        np.testing.assert_array_equal(normalize(x, loc, scale, use_arcsinh=True), np.zeros((1, length)))


def test_nothing_observed_has_location_zero_and_scale_one():
    loc, scale = scaled([[np.nan, np.nan]])
    assert (float(loc[0, 0]), float(scale[0, 0])) == (0.0, 1.0)


def test_the_mean_of_a_high_level_loses_nothing():
    rng = np.random.default_rng(0)
    x = (1e6 + rng.standard_normal((1, 4096))).astype(np.float32)
    loc, scale = scaled(x)
    np.testing.assert_allclose(loc[0, 0], x.astype(np.float64).mean(), rtol=1e-7)
    np.testing.assert_allclose(scale[0, 0], x.astype(np.float64).std(), rtol=2e-3)


def test_denormalize_inverts_normalize():
    x = jnp.asarray(np.random.default_rng(0).standard_normal((3, 2, 40)), jnp.float32) * 100
    loc, scale = scaled(x)
    for use_arcsinh in (True, False):
        back = denormalize(normalize(x, loc, scale, use_arcsinh=use_arcsinh), loc, scale, use_arcsinh=use_arcsinh)
        np.testing.assert_allclose(back, x, rtol=1e-5, atol=1e-4)


def test_gradients_are_finite_for_constant_and_missing_series():
    def total(x):
        observed = ~jnp.isnan(x)
        loc, scale = location_and_scale(x, observed)
        return jnp.sum(jnp.where(observed, normalize(jnp.where(observed, x, 0.0), loc, scale, use_arcsinh=True), 0.0))

    for x in ([[2.0, 2.0, 2.0]], [[np.nan, np.nan, np.nan]], [[1.0, np.nan, 3.0]]):
        assert jnp.isfinite(jax.grad(total)(jnp.asarray(x, jnp.float32))).all()
