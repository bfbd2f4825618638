import pytest

from train.compilation.search import STEP, largest_that_fits


@pytest.mark.parametrize("true", [0, 1, 127, 128, 129, 1000, 4096, 5000, 70_001])
def test_finds_the_largest_within_an_eighth(true: int) -> None:
    tried = []

    def fits(size: int) -> bool:
        tried.append(size)
        return size <= true

    found = largest_that_fits(fits, 2**20)
    assert found <= true
    assert true - found < max(STEP, true / 8)
    assert all(size % STEP == 0 for size in tried)
    assert len(tried) == len(set(tried)) <= 2 + 10 + 4


def test_ends_at_the_most_that_is_tried() -> None:
    assert largest_that_fits(lambda _: True, 1024) == 1024
