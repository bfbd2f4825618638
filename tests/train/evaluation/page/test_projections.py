import numpy as np
import pytest

from train.evaluation.page.projections import neighbourhoods, principal_plane


def test_the_plane_holds_what_lies_in_a_plane() -> None:
    rng = np.random.default_rng(0)
    axes_2xD = np.linalg.qr(rng.standard_normal((6, 2)))[0].T
    flat_Nx2 = rng.standard_normal((30, 2)) * [3.0, 1.0]
    windows_Nx2, others_Mx2, (first, second) = principal_plane(flat_Nx2[:28] @ axes_2xD, flat_Nx2[28:] @ axes_2xD)
    assert first > second
    assert first + second == pytest.approx(1)
    together = np.concatenate([windows_Nx2, others_Mx2])
    distances, expected = (np.linalg.norm(own[:, None] - own, axis=2) for own in (together, flat_Nx2))
    np.testing.assert_allclose(distances, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 4), (2, 4), (5, 1), (1, 1)])
def test_few_windows_and_one_dimension_have_places_too(shape: tuple[int, int]) -> None:
    windows_NxD = np.arange(shape[0] * shape[1], dtype=np.float32).reshape(shape)
    windows_Nx2, others_0x2, shares = principal_plane(windows_NxD, np.zeros((0, shape[1]), np.float32))
    assert windows_Nx2.shape == (shape[0], 2)
    assert others_0x2.shape == (0, 2)
    assert np.isfinite(windows_Nx2).all()
    assert np.isfinite(shares).all()


def test_equal_windows_are_at_one_place() -> None:
    windows_Nx2, _, shares = principal_plane(np.ones((6, 3)), np.zeros((0, 3)))
    np.testing.assert_allclose(windows_Nx2, 0)
    assert shares == (0.0, 0.0)
    assert neighbourhoods(np.ones((6, 3))) is None


def test_neighbours_stay_neighbours_and_places_are_the_same_each_time() -> None:
    rng = np.random.default_rng(0)
    group_N = np.repeat(np.arange(3), 12)
    points_NxD = 20.0 * np.eye(3, 8)[group_N] + rng.standard_normal((36, 8))
    places_Nx2 = neighbourhoods(points_NxD)
    assert places_Nx2 is not None
    distance_NxN = np.linalg.norm(places_Nx2[:, None] - places_Nx2, axis=2)
    np.fill_diagonal(distance_NxN, np.inf)
    np.testing.assert_array_equal(group_N[distance_NxN.argmin(axis=1)], group_N)
    again_Nx2 = neighbourhoods(points_NxD)
    assert again_Nx2 is not None
    np.testing.assert_array_equal(again_Nx2, places_Nx2)


@pytest.mark.parametrize("points", [4, 5, 8])
def test_the_fewest_points(points: int) -> None:
    places = neighbourhoods(np.random.default_rng(0).standard_normal((points, 3)))
    assert (places is None) == (points < 5)
