from pathlib import Path

import numpy as np
import pytest

from train.smarthome.event_stream import days_of
from train.smarthome.events import Events, joined, read_events
from train.smarthome.simulator import simulate


def write(folder: Path, *lines: str) -> Path:
    path = folder / "events"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def assert_same_days(path: Path) -> list[Events]:
    """That the days, one after the other, are the events of the whole file."""
    days = list(days_of(path))
    assert all(len(np.unique(day.day)) == 1 for day in days)
    whole, parts = read_events(path), joined(days)
    for column in ("timestamp", "sensor", "state", "label"):
        np.testing.assert_array_equal(getattr(parts, column), getattr(whole, column))
    assert (parts.location is None) == (whole.location is None)
    if whole.location is not None:
        np.testing.assert_array_equal(parts.location, whole.location)
    return days


def test_a_simulated_file(tmp_path: Path) -> None:
    """Sleep is annotated before midnight and ends behind it."""
    simulate(tmp_path / "events", 4)
    assert len(assert_same_days(tmp_path / "events")) == 4


def test_the_real_file(casas_file: Path) -> None:
    assert len(assert_same_days(casas_file)) == 30


def test_an_activity_stays_open_over_days(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "2020-01-01 23:00:00 A ON Sleep begin",
        "2020-01-02 12:00:00 A ON",
        "2020-01-03 07:00:00 A OFF Sleep end",
        "2020-01-03 07:00:01 A ON",
    )
    assert [day.label.tolist() for day in assert_same_days(path)] == [["Sleep"], ["Sleep"], ["Sleep", ""]]


def test_an_activity_that_is_never_closed_labels_what_follows(tmp_path: Path) -> None:
    path = write(tmp_path, "2020-01-01 00:00:00 A ON Sleep begin", "2020-01-01 00:00:01 A OFF")
    assert [day.label.tolist() for day in days_of(path)] == [["Sleep", "Sleep"]]


def test_out_of_order_within_a_day_and_a_little_beyond_is_sorted_with_a_warning(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "2020-01-01 12:00:00 B ON",
        "2020-01-01 01:00:00 A ON",
        "2020-01-02 00:10:00 D ON",
        "2020-01-01 23:59:59 C ON",
        "2020-01-04 12:00:00 E ON",
    )
    with pytest.warns(UserWarning, match=r"not in order of time \(2 steps back\)"):
        days = assert_same_days(path)
    assert [day.sensor.tolist() for day in days] == [["A", "B", "C"], ["D"], ["E"]]


def test_the_first_line_may_be_late(tmp_path: Path) -> None:
    path = write(tmp_path, "2020-01-02 00:00:01 B ON", "2020-01-01 23:59:59 A ON")
    with pytest.warns(UserWarning, match=r"1 steps back"):
        assert len(assert_same_days(path)) == 2


def test_an_event_of_a_day_that_is_over_is_an_error_that_says_to_sort(tmp_path: Path) -> None:
    lines = [f"2020-01-{day:02d} 12:00:00 A ON" for day in (1, 2, 3, 1)]
    with pytest.raises(ValueError, match=r"line 4, is of 2020-01-01 12:00:00, but .* 2020-01-03 12:00.*sort -s -k1,1"):
        list(days_of(write(tmp_path, *lines)))


def test_malformed_lines_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path, "nonsense", "2020-01-01 00:00:00 A ON", "2020-13-01 00:00:00 A ON")
    with pytest.warns(UserWarning, match=r"2 malformed lines were skipped; the first is line 1, which does not begin"):
        assert sum(map(len, days_of(path))) == 1


def test_a_file_without_events_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no sensor event: all 1 lines are malformed"):
        list(days_of(write(tmp_path, "nonsense")))


def test_an_absent_file_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="There is no event file"):
        days_of(tmp_path / "absent")
