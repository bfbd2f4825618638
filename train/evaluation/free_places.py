"""Places for the marks of points that lie close to each other."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


def free_places(points_Lx2: Float[np.ndarray, "l 2"], room: float = 26.0) -> Float[np.ndarray, "l 2"]:
    """A place near each point that keeps apart from all points and from the other places.

    Args:
        points_Lx2: In pixels.
        room: The least distance, in pixels.
    """
    taken = list(points_Lx2)
    for at in points_Lx2:
        taken.append(_free_place(at, taken, room))
    return np.array(taken[len(points_Lx2) :]).reshape(-1, 2)


def _free_place(
    at: Float[np.ndarray, " 2"], taken: Sequence[Float[np.ndarray, " 2"]], room: float
) -> Float[np.ndarray, " 2"]:
    """The nearest place on circles around a point that is at least `room` away from what is taken."""
    for radius in np.arange(room, 20 * room, room / 2):
        for angle in np.linspace(np.pi / 2, -3 * np.pi / 2, 16, endpoint=False):
            place = at + radius * np.array([np.cos(angle), np.sin(angle)])
            if all(np.hypot(*(place - other)) >= room for other in taken):
                return place
    return at
