import jax.numpy as jnp
import numpy as np
import pytest

from chronos_jax.layers.patching import num_patches, patch_from_left, patch_from_right


@pytest.mark.parametrize(("length", "expected"), [(1, 1), (3, 1), (4, 1), (5, 2), (8, 2), (9, 3)])
def test_num_patches_rounds_up(length, expected):
    assert num_patches(length, 4) == expected


def test_the_past_is_padded_on_the_left_so_that_the_last_patch_ends_now():
    np.testing.assert_array_equal(patch_from_right(jnp.arange(1, 6), 4, fill=0.0), [[0, 0, 0, 1], [2, 3, 4, 5]])


def test_the_future_is_padded_on_the_right_so_that_the_first_patch_begins_now():
    np.testing.assert_array_equal(patch_from_left(jnp.arange(1, 6), 4, fill=0.0), [[1, 2, 3, 4], [5, 0, 0, 0]])


def test_whole_patches_are_not_padded():
    x = jnp.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_array_equal(patch_from_right(x, 2, fill=-1.0), x.reshape(2, 3, 2, 2))
