"""The largest batch that fits."""

from collections.abc import Callable

STEP = 128  # batches of other sizes leave part of a TPU's tiles empty


def largest_that_fits(fits: Callable[[int], bool], most: int) -> int:
    """The largest size that fits, to within an eighth; 0 where not even the smallest does.

    Doubles from `STEP` until something does not fit, then halves the interval, on multiples of `STEP`.

    Args:
        fits: Whether a size does; what fits must fit in every smaller size, too.
        most: Sizes beyond are not tried.
    """
    fitting, size = 0, STEP
    while size <= most and fits(size):
        fitting, size = size, 2 * size
    if size > most or not fitting:
        return fitting
    too_large = size
    while too_large - fitting > max(STEP, fitting // 8):
        middle = (fitting + too_large) // 2 // STEP * STEP
        if fits(middle):
            fitting = middle
        else:
            too_large = middle
    return fitting
