import inspect

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import reference_module, walks

from chronos_jax.quantiles import check_levels, interpolate_quantiles, probability_masses, weighted_quantiles

LEVELS = [0.01, 0.1, 0.3, 0.5, 0.75, 0.99]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(max_examples=30, deadline=None)
def test_interpolation_is_that_of_the_reference(wanted):
    utils, torch = reference_module("chronos.utils"), pytest.importorskip("torch")
    values = np.sort(walks(3, len(LEVELS), 4), axis=1)
    expected = utils.interpolate_quantiles(wanted, LEVELS, torch.tensor(values.swapaxes(1, 2).copy())).numpy()
    np.testing.assert_allclose(
        interpolate_quantiles(wanted, LEVELS, values), expected.swapaxes(1, 2), rtol=1e-4, atol=1e-5
    )


def test_known_levels_are_exact_and_the_outermost_go_on():
    values = walks(len(LEVELS), 4)
    np.testing.assert_array_equal(interpolate_quantiles(LEVELS[::-1], LEVELS, values), values[::-1])
    np.testing.assert_array_equal(interpolate_quantiles([0.0, 1.0, 0.995], LEVELS, values), values[[0, -1, -1]])
    middle = interpolate_quantiles([0.4], LEVELS, values)
    np.testing.assert_allclose(middle, values[2:4].mean(0, keepdims=True), rtol=1e-6, atol=1e-6)


def test_no_levels_are_no_quantiles():
    assert interpolate_quantiles([], LEVELS, walks(2, len(LEVELS), 4)).shape == (2, 0, 4)


@pytest.mark.parametrize("levels", [[1.5], [True], ["0.5"], [-0.1], [float("nan")], ["a"], 0.5, [[0.5]]])
def test_levels_that_are_none_are_refused(levels):
    with pytest.raises(ValueError, match="between 0 and 1"):
        inspect.unwrap(check_levels)(levels)


def test_weighted_quantiles_are_those_of_the_reference():
    utils, torch = reference_module("chronos.utils"), pytest.importorskip("torch")
    samples = walks(2, 5, 60)
    weights = np.random.default_rng(0).random(60).astype(np.float32) + 0.01
    expected = utils.weighted_quantile(LEVELS, torch.tensor(weights), torch.tensor(samples)).numpy()
    ours = weighted_quantiles(jnp.array(samples), jnp.array(weights), jnp.array(LEVELS, jnp.float32))
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


def test_masses_share_out_the_distribution():
    masses = probability_masses([0.1, 0.5, 0.9])
    np.testing.assert_allclose(masses, np.array([0.25, 0.4, 0.25]) / 0.9, rtol=1e-6)
