import numpy as np
import pytest
from scipy.sparse import csr_array

from train.evaluation import bootstrap
from train.evaluation.bootstrap import Resampling, interval, means_with_intervals, measures_with_intervals


def each_alone(windows: int) -> Resampling:
    return Resampling("windows", np.arange(windows))


def test_days_are_drawn_where_windows_have_them() -> None:
    starts = [f"2024-01-0{day}T{hour:02d}:00:00" for day in range(1, 6) for hour in (7, 19)]
    resampling = Resampling.of(starts)
    assert resampling.described() == {"units": "days", "count": 5}
    assert resampling.unit_N.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


@pytest.mark.parametrize(
    "starts", [[f"2024-01-0{day}T07:00:00" for day in range(1, 5)] * 3, ["2024-01-01", "2024-01-02", ""] * 4]
)
def test_few_or_unknown_days_leave_windows(starts: list[str]) -> None:
    assert Resampling.of(starts).described() == {"units": "windows", "count": 12}


def test_captions_are_drawn_with_the_days_of_their_windows_or_alone() -> None:
    first_windows = np.array([0, 3, 3])
    assert Resampling("days", np.array([0, 0, 1, 1])).of_windows(first_windows).unit_N.tolist() == [0, 1, 1]
    assert each_alone(4).of_windows(first_windows).unit_N.tolist() == [0, 1, 2]


def test_windows_of_a_day_come_and_go_together() -> None:
    """Of two days with 1 and 2 windows, 0, 1 or 2 are the first: sums of (windows, values) are one of three pairs."""
    resampling = Resampling("days", np.array([5, 9, 9]))
    sums_Rx2 = resampling.sums(csr_array(np.array([[1.0, 10.0], [1.0, 1.0], [1.0, 3.0]])))
    assert len(sums_Rx2) == bootstrap.RESAMPLES
    pairs, counts = np.unique(sums_Rx2, axis=0, return_counts=True)
    np.testing.assert_array_equal(pairs, [[2, 20], [3, 14], [4, 8]])
    np.testing.assert_allclose(counts / bootstrap.RESAMPLES, [0.25, 0.5, 0.25], atol=0.05)


def test_it_is_the_same_every_time_and_in_blocks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"value": np.random.default_rng(0).random(30)}
    whole = means_with_intervals(values, each_alone(30))
    assert means_with_intervals(values, each_alone(30)) == whole
    monkeypatch.setattr(bootstrap, "ENTRIES_AT_ONCE", 30 * 7)
    assert means_with_intervals(values, each_alone(30)) == whole


def test_the_interval_of_a_share_holds_it_as_often_as_it_says() -> None:
    """Of 300 samples of 100 coins that show heads with probability 0.3, about 95 % of the intervals hold 0.3."""
    coins_SxN = (np.random.default_rng(1).random((300, 100)) < 0.3).astype(np.float64)
    found = means_with_intervals(
        {str(number): coins_N for number, coins_N in enumerate(coins_SxN.copy())}, each_alone(100)
    )
    holds = [low <= 0.3 <= high for low, high in (one["interval"] for one in found.values())]
    assert 0.90 < np.mean(holds) < 0.985
    widths = [np.ptp(one["interval"]) for one in found.values()]
    assert np.mean(widths) == pytest.approx(2 * 1.96 * np.sqrt(0.3 * 0.7 / 100), rel=0.05)


def test_equal_days_make_wider_intervals_than_as_many_windows() -> None:
    """Ten days of 20 equal windows tell as much as ten windows."""
    of_day = np.random.default_rng(2).random(10)
    resampling = Resampling("days", np.repeat(np.arange(10), 20))
    by_day = means_with_intervals({"value": np.repeat(of_day, 20)}, resampling)
    alone = means_with_intervals({"value": of_day}, each_alone(10))
    np.testing.assert_allclose(by_day["value"]["interval"], alone["value"]["interval"])


def test_resamples_that_lack_a_measure_are_left_out() -> None:
    assert interval(np.array([np.nan, 1.0, 1.0, np.nan])) == [1, 1]


def test_measures_of_tables() -> None:
    """Of four windows, two of the first row are in the first column: the share of the diagonal, and a measure there is
    not."""
    rows, columns = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 0])

    def measure(table_RxKxL: np.ndarray) -> dict[str, np.ndarray]:
        none = np.full(len(table_RxKxL), np.nan)
        return {"first cell": table_RxKxL[:, 0, 0] / table_RxKxL.sum(axis=(1, 2)), "nothing": none}

    found = measures_with_intervals(rows, columns, (2, 3), measure, each_alone(4))
    assert found.keys() == {"first cell"}
    assert found["first cell"]["value"] == 0.25
    assert found["first cell"] == means_with_intervals({"x": np.array([1.0, 0, 0, 0])}, each_alone(4))["x"]


def test_a_centred_interval_lies_around_its_value() -> None:
    """The number of different cells shrinks where windows are drawn twice, so that percentiles miss it."""
    rows, columns = np.divmod(np.arange(30), 6)

    def different(table_RxKxL: np.ndarray) -> dict[str, np.ndarray]:
        return {"cells": (table_RxKxL > 0).sum(axis=(1, 2)).astype(np.float64)}

    plain, centred = (
        measures_with_intervals(rows, columns, (5, 6), different, each_alone(30), centred=centred)["cells"]["interval"]
        for centred in (False, True)
    )
    assert plain[1] < 30
    assert centred[0] < 30 < centred[1]
    assert np.ptp(centred) == pytest.approx(np.ptp(plain))
