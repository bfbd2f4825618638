import numpy as np
import pytest

from train.evaluation.free_places import free_places


@pytest.mark.parametrize("spread", [0.0, 40.0])
def test_places_are_near_their_points_and_keep_apart_from_all_others(spread: float) -> None:
    points_Lx2 = spread * np.random.default_rng(0).standard_normal((22, 2))
    places_Lx2 = free_places(points_Lx2, room=20.0)
    everything = np.concatenate([points_Lx2, places_Lx2])
    distance = np.linalg.norm(everything[:, None] - everything[None], axis=2)[22:]
    distance[np.arange(22), 22 + np.arange(22)] = np.inf
    assert distance.min() >= 20.0 - 1e-9
    assert np.linalg.norm(places_Lx2 - points_Lx2, axis=1).max() < 100


def test_a_lonely_point_has_its_place_above() -> None:
    np.testing.assert_allclose(free_places(np.array([[3.0, 4.0]]), room=10.0), [[3.0, 14.0]])
    assert free_places(np.zeros((0, 2))).shape == (0, 2)
