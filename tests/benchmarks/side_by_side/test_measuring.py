import numpy as np
import pytest

from benchmarks.side_by_side.measuring import Ratio, alternating, difference, ratio, relative_error
from benchmarks.side_by_side.sides import SideError


def test_turns_alternate_in_who_goes_first() -> None:
    order: list[str] = []

    def run(name: str) -> dict[str, float]:
        order.append(name)
        return {"seconds": float(len(order))}

    told: list[str] = []
    runs = alternating({"a": lambda: run("a"), "b": lambda: run("b")}, 3, told.append)
    assert order == told == ["a", "b", "b", "a", "a", "b"]
    assert runs == {
        "a": [{"seconds": 1.0}, {"seconds": 4.0}, {"seconds": 5.0}],
        "b": [{"seconds": 2.0}, {"seconds": 3.0}, {"seconds": 6.0}],
    }


def test_a_ratio_is_of_medians_and_its_spread_of_turns() -> None:
    reference = [{"seconds": 8.0}, {"seconds": 9.0}, {"seconds": 30.0}]
    ours = [{"seconds": 4.0}, {"seconds": 1.0}, {"seconds": 3.0}]
    assert ratio(reference, ours) == Ratio(9 / 3, 8 / 4, 30 / 3)


def test_a_difference_is_a_share_of_the_largest_value() -> None:
    reference = np.array([1.0, -10.0, 0.0])
    assert difference(np.array([1.0, -10.0, 0.5]), reference) == 0.05
    assert difference(reference, reference) == 0


def test_an_error_is_measured_against_the_reference_s_own() -> None:
    exact = np.array([1.0, 2.0, -3.0])
    ours, reference = exact + np.array([0.0, 0.3, 0.4]), exact + np.array([1.0, 0.0, 0.0])
    assert relative_error(ours, reference, exact) == pytest.approx(0.5)
    with pytest.raises(SideError, match="digit by digit"):
        relative_error(ours, exact, exact)


@pytest.mark.parametrize("ours", [[1.0, np.nan], [1.0], [1.0, np.inf]])
def test_answers_of_other_shapes_or_without_numbers_cannot_be_compared(ours: list[float]) -> None:
    with pytest.raises(SideError, match=r"other shapes|not finite"):
        difference(np.array(ours), np.array([1.0, 2.0]))
