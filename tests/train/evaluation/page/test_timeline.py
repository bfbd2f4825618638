from train.evaluation.page.timeline import Stretch, timeline

DAY = "2024-01-05"


def times(*clocks: str) -> list[str]:
    return [clock and f"{DAY}T{clock}:00" for clock in clocks]


def test_the_window_that_began_later_has_the_moment() -> None:
    assert timeline(times("08:00", "08:30"), times("09:00", "10:00")) == [
        Stretch(DAY, 8.0, 8.5, 0),
        Stretch(DAY, 8.5, 10.0, 1),
    ]


def test_a_window_goes_on_after_one_that_lies_within_it() -> None:
    stretches = timeline(times("08:00", "09:00"), times("12:00", "10:00"))
    assert [(stretch.window, stretch.start, stretch.end) for stretch in stretches] == [
        (0, 8.0, 9.0),
        (1, 9.0, 10.0),
        (0, 10.0, 12.0),
    ]


def test_windows_need_not_be_in_order_and_gaps_stay() -> None:
    stretches = timeline(times("20:00", "08:00"), times("21:00", "08:15"))
    assert [(stretch.window, stretch.start, stretch.end) for stretch in stretches] == [(1, 8.0, 8.25), (0, 20.0, 21.0)]


def test_midnight_divides_a_window() -> None:
    stretches = timeline(["2024-01-05T23:00:00"], ["2024-01-07T01:30:00"])
    assert stretches == [
        Stretch("2024-01-05", 23.0, 24.0, 0),
        Stretch("2024-01-06", 0.0, 24.0, 0),
        Stretch("2024-01-07", 0.0, 1.5, 0),
    ]


def test_unknown_times_and_windows_without_duration_have_no_stretch() -> None:
    starts, ends = times("", "08:00", "09:00", "11:00"), times("09:00", "", "09:00", "10:00")
    assert timeline(starts, ends) == []
    assert timeline(["yesterday"], ["2024-01-05T10:00:00"]) == []
    assert timeline([], []) == []


def test_times_have_fractions_of_seconds() -> None:
    [stretch] = timeline(["2024-01-05T00:00:00.500000"], ["2024-01-05T00:00:01"])
    assert (stretch.start, stretch.end) == (0.5 / 3600, 1 / 3600)
