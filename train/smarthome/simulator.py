"""A simulated one-person home that writes a raw CASAS event file.

It stands in for real data where there is none: the same annotated form, a daily rhythm that differs from day to day,
and the faults of real sensors (missed and spurious events). What is learnt from it says nothing of real homes.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np

from chronos_jax.replacing import replacing
from train.smarthome.home import Home

FIRST_DAY = datetime(2024, 1, 1)
MISSED = 0.03  # part of the events that the sensor does not report
SPURIOUS_PER_DAY = 12.0


@dataclass(frozen=True)
class _Sensor:
    name: str
    kind: str
    room: str
    x: float  # metres
    y: float
    text: str


@dataclass(frozen=True)
class _Activity:
    label: str
    hour: float  # when it usually begins, in hours since midnight
    spread: int  # standard deviation of that, in minutes
    minutes: int  # how long it usually lasts
    chance: float  # part of the days that have it
    gap: int  # mean seconds between movements
    sensors: tuple[tuple[str, float], ...]  # and how often each is the one that notices
    interrupts: bool = False  # takes place within another activity


class _Row(NamedTuple):
    second: float  # since midnight of the first day
    sensor: str
    state: str
    annotation: str = ""


_SENSORS = (
    _Sensor("M001", "motion", "Bedroom", 1.0, 1.0, "bed"),
    _Sensor("M002", "motion", "Bedroom", 3.2, 2.4, "wardrobe"),
    _Sensor("M003", "motion", "Bathroom", 5.0, 1.0, "washbasin"),
    _Sensor("M004", "motion", "Bathroom", 5.8, 2.2, "tub"),
    _Sensor("M005", "motion", "Hallway", 4.5, 4.0, "corridor"),
    _Sensor("M006", "motion", "Kitchen", 8.0, 1.0, "stove"),
    _Sensor("M007", "motion", "Kitchen", 9.5, 1.2, "sink"),
    _Sensor("D001", "door", "Kitchen", 9.8, 2.5, "refrigerator door"),
    _Sensor("D002", "door", "Kitchen", 7.2, 2.6, "cupboard door"),
    _Sensor("M008", "motion", "DiningRoom", 8.5, 4.5, "table"),
    _Sensor("M009", "motion", "LivingRoom", 2.0, 6.5, "sofa"),
    _Sensor("M010", "motion", "LivingRoom", 3.5, 7.5, "bookshelf"),
    _Sensor("M011", "motion", "Office", 8.5, 7.0, "desk"),
    _Sensor("M012", "motion", "Entry", 5.5, 7.8, "entry"),
    _Sensor("D003", "door", "Entry", 5.5, 8.0, "front door"),
)
_STOVE = (("M006", 5.0), ("M007", 3.0), ("D001", 1.5), ("D002", 1.0))
_ACTIVITIES = (
    _Activity("Bed_Toilet_Transition", 3.0, 60, 4, 0.7, 12, (("M001", 2.0), ("M005", 1.0), ("M003", 3.0)), True),
    _Activity("Personal_Hygiene", 7.0, 25, 15, 0.95, 12, (("M003", 4.0), ("M004", 1.0))),
    _Activity("Dress", 7.4, 20, 6, 0.9, 12, (("M002", 4.0), ("M001", 1.0))),
    _Activity("Cook_Breakfast", 7.7, 20, 14, 0.95, 12, _STOVE),
    _Activity("Eat_Breakfast", 8.1, 20, 15, 0.9, 25, (("M008", 6.0), ("M007", 1.0))),
    _Activity("Work_At_Desk", 9.2, 40, 120, 0.75, 60, (("M011", 8.0), ("M005", 0.5))),
    _Activity("Cook_Lunch", 12.2, 25, 18, 0.85, 12, _STOVE),
    _Activity("Eat_Lunch", 12.8, 25, 18, 0.85, 25, (("M008", 6.0), ("M007", 1.0))),
    _Activity("Leave_Home", 14.0, 60, 3, 0.6, 8, (("M005", 1.0), ("M012", 3.0), ("D003", 2.0))),
    _Activity("Enter_Home", 16.0, 40, 3, 0.6, 8, (("D003", 2.0), ("M012", 3.0), ("M005", 1.0))),
    _Activity("Cook_Dinner", 18.0, 30, 28, 0.95, 12, _STOVE),
    _Activity("Eat_Dinner", 18.7, 30, 22, 0.95, 25, (("M008", 6.0), ("M007", 1.0))),
    _Activity("Wash_Dishes", 19.3, 25, 12, 0.8, 10, (("M007", 6.0), ("D002", 1.0))),
    _Activity("Watch_TV", 20.0, 30, 90, 0.9, 60, (("M009", 7.0), ("M010", 1.0))),
    _Activity("Bathe", 21.8, 30, 16, 0.5, 15, (("M004", 5.0), ("M003", 1.0))),
    _Activity("Sleep", 22.8, 30, 470, 1.0, 500, (("M001", 9.0), ("M002", 0.3))),
)


def simulated_home() -> Home:
    """The description of the simulated home: rooms, coordinates in metres, kinds and texts of its sensors."""
    return Home(
        sensor_location={sensor.name: sensor.room for sensor in _SENSORS},
        sensor_coordinates={sensor.name: (sensor.x, sensor.y) for sensor in _SENSORS},
        sensor_type={sensor.name: sensor.kind for sensor in _SENSORS},
        sensor_details={sensor.name: sensor.text for sensor in _SENSORS},
    )


def simulate(path: Path, days: int, seed: int = 0) -> None:
    """Write a raw CASAS file, `date time sensor state [activity begin|end]`, of some 1,500 events a day.

    The same days and seed give the same bytes. The days follow Monday, 1 January 2024.

    Raises:
        ValueError: `days` is not positive.
    """
    if days < 1:
        raise ValueError(f"Cannot simulate {days} days; at least one is needed.")
    generator = np.random.default_rng(seed)
    rows: list[_Row] = []
    free = -86_400.0
    for day in range(-1, days):  # the night before the first day reaches into it
        planned = [
            (day * 86_400 + generator.normal(activity.hour * 3_600, activity.spread * 60), activity)
            for activity in _ACTIVITIES
            if generator.random() < activity.chance
        ]
        for wanted, activity in sorted(planned, key=lambda item: item[0]):
            begin = wanted if activity.interrupts else max(wanted, free)
            if begin - wanted > 5_400:  # by now the occasion has passed
                continue
            end = begin + activity.minutes * 60 * generator.lognormal(0.0, 0.25)
            rows += _performed(generator, activity, begin, end, days * 86_400)
            if not activity.interrupts:
                free = end + generator.exponential(90.0)
                rows += _walk(generator, end, free)
        for _ in range(generator.poisson(SPURIOUS_PER_DAY)):
            sensor = _SENSORS[generator.integers(len(_SENSORS))]
            rows += _triggered(day * 86_400 + generator.uniform(0, 86_400), sensor, generator)
    lines = [
        f"{FIRST_DAY + timedelta(seconds=row.second):%Y-%m-%d %H:%M:%S.%f}\t{row.sensor}\t{row.state}{row.annotation}\n"
        for row in sorted(rows)
        if 0 <= row.second < days * 86_400
    ]
    with replacing(path) as beside:
        beside.write_text("".join(lines), encoding="utf-8")


def _performed(
    generator: np.random.Generator, activity: _Activity, begin: float, end: float, last_second: int
) -> list[_Row]:
    by_name = {sensor.name: sensor for sensor in _SENSORS}
    names = [name for name, _ in activity.sensors]
    weights = np.array([weight for _, weight in activity.sensors])
    noticed: list[_Row] = []
    second = begin
    while second < end:
        name = names[generator.choice(len(names), p=weights / weights.sum())]
        noticed += _triggered(second, by_name[name], generator)
        second += 1.0 + generator.exponential(activity.gap)
    # Missed events go before the first and last are marked, so that every activity in the file is begun and ended.
    rows = sorted(row for row in noticed if generator.random() >= MISSED and 0 <= row.second < last_second)
    if len(rows) < 2:
        return rows
    begun = rows[0]._replace(annotation=f"\t{activity.label} begin")
    return [begun, *rows[1:-1], rows[-1]._replace(annotation=f"\t{activity.label} end")]


def _walk(generator: np.random.Generator, begin: float, end: float) -> list[_Row]:
    """Movement between activities, which no annotation names."""
    corridor = next(sensor for sensor in _SENSORS if sensor.room == "Hallway")
    return [row for second in np.arange(begin, end, 30.0) for row in _triggered(float(second), corridor, generator)]


def _triggered(second: float, sensor: _Sensor, generator: np.random.Generator) -> list[_Row]:
    on, off = ("OPEN", "CLOSE") if sensor.kind == "door" else ("ON", "OFF")
    return [_Row(second, sensor.name, on), _Row(second + generator.uniform(0.8, 4.0), sensor.name, off)]
