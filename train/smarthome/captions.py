"""Captions from templates: when, how long, where and which sensors.

They never see the label of their window, and the names they use contain no label of the data (see `Names.of`). Only
the words of the templates are beyond that: a label "movement" would occur in captions of every window alike.
"""

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from jaxtyping import Shaped

from train.smarthome.events import Events, moment
from train.smarthome.home import Home
from train.smarthome.names import readable, without_activities

# No wording names an activity ("getting up", "at dinner time"): the label would leak into the text.
LONG = (
    "On {weekday} {daypart} around {time}, for {duration}, there was movement {where}, noticed by the {sensors}.",
    "{weekday} {daypart}, starting at {time} and lasting {duration}: somebody was {where}; the {sensors} responded.",
    "Over {duration} in the {daypart}, from {time} on a {weekday}, the {sensors} reported someone {where}.",
    "Between {time} and {end} on {weekday} {daypart}, the person was {where}, and the {sensors} changed state.",
)
SHORT = (
    "{daypart} movement {where}",
    "{where}, {weekday} {daypart}",
    "{duration} {where}",
    "{sensors}, {daypart}",
)
MOST_ROOMS = 3
MOST_SENSORS = 3
WORDINGS_PER_WINDOW = 2


@dataclass(frozen=True)
class Scene:
    """What a caption may tell of a window: begin, end, and the room and sensor of each event."""

    start: datetime
    end: datetime
    rooms: Sequence[str]
    sensors: Sequence[str]

    @classmethod
    def of(cls, events: Events, rooms: Shaped[np.ndarray, " e"], start: int, stop: int) -> "Scene":
        """What there is to tell of the events from `start` to before `stop`; `rooms` are those of all events."""
        return cls(
            start=moment(int(events.timestamp[start])),
            end=moment(int(events.timestamp[stop - 1])),
            rooms=rooms[start:stop].tolist(),
            sensors=events.sensor[start:stop].tolist(),
        )


@dataclass(frozen=True)
class Names:
    """How captions call each room and each sensor."""

    rooms: Mapping[str, str]
    sensors: Mapping[str, str]

    @classmethod
    def of(cls, rooms: Iterable[str], sensors: Iterable[str], home: Home, activities: Iterable[str] = ()) -> "Names":
        """The names of all rooms and sensors of the data, none of which contains one of the activities.

        A name that does is replaced by "room A", "sensor B" and so on, in the captions of all windows: replaced in
        those of that activity alone, the neutral name would tell it.
        """
        activities = list(activities)
        return cls(
            without_activities({room: f"the {readable(room)}" for room in rooms}, activities, "room"),
            without_activities({sensor: home.sensor_text(sensor) for sensor in sensors}, activities, "sensor"),
        )


def captions(window_id: str, scene: Scene, names: Names, seed: int = 0) -> dict[str, list[str]]:
    """Two long and two short captions of different wording.

    The wordings are drawn from `seed` and `window_id` alone, so the same window always gets the same captions.
    """
    draw = random.Random(f"{seed}/{window_id}")
    facts = {
        "weekday": f"{scene.start:%A}",
        "daypart": daypart(scene.start),
        "time": f"{scene.start:%H:%M}",
        "end": f"{scene.end:%H:%M}",
        "duration": duration_text(scene.end - scene.start),
        "where": _where(scene.rooms, names),
        "sensors": _listed(names.sensors[sensor] for sensor in most_frequent(scene.sensors, MOST_SENSORS)),
    }

    return {"long": _worded(LONG, facts, draw), "short": _worded(SHORT, facts, draw)}


def daypart(moment: datetime) -> str:
    """Night until 5:00, then morning, from 12:00 afternoon, from 17:00 evening, from 22:00 night."""
    starts = ((5, "night"), (12, "morning"), (17, "afternoon"), (22, "evening"))
    return next((name for hour, name in starts if moment.hour < hour), "night")


def duration_text(duration: timedelta) -> str:
    """A duration in words: "12 seconds", "about 5 minutes", "about 2 hours"."""
    seconds = duration.total_seconds()
    if seconds < 60:
        return _count(round(seconds), "second")
    if seconds < 90 * 60:
        return f"about {_count(round(seconds / 60), 'minute')}"
    return f"about {_count(round(seconds / 3600), 'hour')}"


def most_frequent(values: Sequence[str], maximum: int) -> list[str]:
    """The most frequent values, most frequent first; of equally frequent ones, the first to occur first."""
    return [value for value, _ in Counter(values).most_common(maximum)]


def _worded(templates: Sequence[str], facts: dict[str, str], draw: random.Random) -> list[str]:
    texts = [template.format(**facts) for template in draw.sample(templates, WORDINGS_PER_WINDOW)]
    return [text[0].upper() + text[1:] for text in texts]


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def _listed(texts: Iterable[str]) -> str:
    *firsts, last = texts
    return f"{', '.join(firsts)} and {last}" if firsts else last


def _where(rooms: Sequence[str], names: Names) -> str:
    named = [names.rooms[room] for room in most_frequent(rooms, MOST_ROOMS)]
    if len(named) == 1:
        return f"in {named[0]}"
    share = Counter(rooms).most_common(1)[0][1] / len(rooms)
    return f"mostly in {named[0]}, also in {_listed(named[1:])}" if share > 0.5 else f"in {_listed(named)}"
