import numpy as np
import pytest
from scipy.stats import ttest_1samp

from train.evaluation.seeds import half_width, is_same, over_seeds


def test_the_interval_is_that_of_students_t() -> None:
    values = [0.5, 0.6, 0.55]
    low, high = ttest_1samp(values, 0).confidence_interval(0.95)
    assert half_width(values) == pytest.approx((high - low) / 2)


def test_it_holds_the_mean_as_often_as_it_says() -> None:
    draws = np.random.default_rng(0).normal(3.0, 2.0, (2000, 3))
    holds = [abs(own.mean() - 3.0) <= half_width(own.tolist()) for own in draws]
    assert np.mean(holds) == pytest.approx(0.95, abs=0.015)


def test_numbers_become_means_wherever_they_are() -> None:
    def report(value: float, chance: float) -> dict[str, object]:
        number = {"value": value, "interval": [0.0, 1.0], "chance": chance, "majority": 0.3}
        return {"retrieval": {"queries": 7, "recall_at_1": number}, "baseline_statistics": None, "step": value}

    together = over_seeds([report(0.2, 0.1), report(0.4, 0.3)])
    number = together["retrieval"]["recall_at_1"]
    assert number.pop("values") == [0.2, 0.4]
    assert number == pytest.approx({"value": 0.3, "half_width": half_width([0.2, 0.4]), "chance": 0.2, "majority": 0.3})
    assert together["retrieval"]["queries"] == 7
    assert together["baseline_statistics"] is None
    assert together["step"] is None


def test_what_one_of_them_could_not_measure_is_not_measured() -> None:
    number = {"value": 0.5, "interval": [0, 1]}
    why = {"not_measured": "one label"}
    assert over_seeds([{"probe": {"accuracy": number}}, {"probe": why}]) == {"probe": why}
    assert over_seeds([why, why]) == why


def test_what_no_seed_changes_is_told_from_what_varies() -> None:
    same = over_seeds([{"value": 0.1, "interval": [0, 1]}] * 3)
    assert is_same(same)
    assert same["half_width"] == pytest.approx(0)
    assert not is_same(over_seeds([{"value": 0.1}, {"value": 0.1}, {"value": 0.2}]))
    assert not is_same({"value": 0.1, "interval": [0, 1]})  # of one run
