from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from train.smarthome.events import read_events
from train.smarthome.simulator import simulate, simulated_home

HOUR = 3_600_000_000


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        simulate(tmp_path / name, days=2, seed=seed)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != (tmp_path / "c").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_the_reader_of_real_data_reads_it_without_complaint(tmp_path: Path) -> None:
    simulate(tmp_path / "raw", days=5)
    events = read_events(tmp_path / "raw", strict=True)  # a warning would fail the test
    assert events.form == "annotated"
    assert len(np.unique(events.day)) == 5
    assert 800 < len(events) / 5 < 3_000


def test_a_home_of_twelve_sensors_and_eight_activities(tmp_path: Path) -> None:
    simulate(tmp_path / "raw", days=7)
    events = read_events(tmp_path / "raw")
    home = simulated_home()
    assert set(events.sensor.tolist()) == set(home.sensor_location) == set(home.sensor_coordinates)
    assert len(home.sensor_location) >= 12
    assert len(set(events.label.tolist()) - {""}) >= 8
    assert (events.label == "").any()


def test_activities_have_a_daily_rhythm(tmp_path: Path) -> None:
    simulate(tmp_path / "raw", days=7)
    events = read_events(tmp_path / "raw")
    hours: dict[str, list[float]] = defaultdict(list)
    for label, timestamp in zip(events.label.tolist(), events.timestamp.tolist(), strict=True):
        hours[label].append(timestamp % (24 * HOUR) / HOUR)
    assert np.median(hours["Cook_Breakfast"]) < 10 < np.median(hours["Cook_Lunch"]) < 15
    assert np.median(hours["Watch_TV"]) > 17
    assert np.mean([hour > 21 or hour < 9 for hour in hours["Sleep"]]) > 0.9


def test_sensors_miss_and_invent_events(tmp_path: Path) -> None:
    simulate(tmp_path / "raw", days=3)
    events = read_events(tmp_path / "raw")
    on = np.isin(events.state, ["ON", "OPEN"]).sum()
    assert on != len(events) - on  # somewhere a partner is missing
    asleep = events.label == "Sleep"
    assert set(events.sensor[asleep].tolist()) - {"M001", "M002"}  # somewhere else something stirred


def test_no_days_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one"):
        simulate(tmp_path / "raw", days=0)
