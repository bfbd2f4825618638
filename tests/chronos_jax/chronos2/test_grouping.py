import numpy as np

from chronos_jax.chronos2.grouping import group_layout


def test_series_of_a_group_stand_side_by_side_in_their_own_order():
    layout = group_layout(np.array([7, 2, 7, 7, 2, 5]))
    np.testing.assert_array_equal(layout.variate_mask_GxV, [[1, 1, 0], [1, 0, 0], [1, 1, 1]])
    np.testing.assert_array_equal(layout.series_GxV, [[1, 4, 0], [5, 0, 0], [0, 2, 3]])


def test_gather_inverts_scatter():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 3))
    layout = group_layout(rng.integers(0, 9, 40))
    np.testing.assert_array_equal(layout.gather(layout.scatter(x)), x)


def test_nothing_makes_no_group():
    assert group_layout(np.array([], int)).series_GxV.shape == (0, 0)
