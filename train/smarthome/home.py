"""The home: which room a sensor is in, where, of what kind, and how it and the activities are called."""

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float, Shaped
from pydantic import BaseModel, BeforeValidator, ConfigDict, FiniteFloat, ValidationError

from train.smarthome.events import Events
from train.smarthome.files import read_json
from train.smarthome.labels import describe_label
from train.smarthome.names import readable

Point = tuple[float, float]
NO_ROOM = "Home"


def _texts(value: Any) -> Any:
    """The public metadata describes a label by several texts: `{"short_desc": text, "long_desc": [text, ...], ...}`."""
    if isinstance(value, Mapping):
        value = [text for texts in value.values() for text in (texts if isinstance(texts, list) else [texts]) if text]
    return [value] if isinstance(value, str) else value


def _point(value: Any) -> Any:
    return (value["x"], value["y"]) if isinstance(value, Mapping) and {"x", "y"} <= set(value) else value


class Home(BaseModel):
    """A description of a home, under the keys of the public CASAS metadata; other keys are ignored.

    Everything is optional. What is absent is derived: rooms from the location column or the sensor's name,
    coordinates from a grid of rooms (see `layout`), texts from names.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    sensor_location: dict[str, str] = {}
    """Room of each sensor."""

    sensor_coordinates: dict[str, Annotated[tuple[FiniteFloat, FiniteFloat], BeforeValidator(_point)]] = {}
    """Place of each sensor as [x, y] or {"x": x, "y": y}, in any unit."""

    sensor_type: dict[str, str] = {}
    """Kind of each sensor, such as "motion"."""

    sensor_details: dict[str, str | None] = {}
    """Text that describes a sensor, such as "stove"; null where there is none."""

    label_to_text: dict[str, Annotated[list[str], BeforeValidator(_texts)]] = {}
    """Wordings of an activity: a string, a list, or the metadata's {"short_desc": ..., "long_desc": [...]}."""

    def rooms(self, events: Events) -> Shaped[np.ndarray, " e"]:
        """The room of each event.

        By the description; for sensors it does not name by the location column; where there is none, by the sensor's
        name without its number if that leaves a word ("Kitchen2" → "Kitchen", "M003" → "Home").
        """
        sensors, inverse = np.unique(events.sensor, return_inverse=True)
        by_name = np.array([self.sensor_location.get(str(sensor), _room_in_name(str(sensor))) for sensor in sensors])
        rooms = by_name[inverse]
        if events.location is None:
            return rooms
        described = np.array([str(sensor) in self.sensor_location for sensor in sensors])[inverse]
        return np.where(described, rooms, events.location)

    def sensor_text(self, sensor: str) -> str:
        """How captions call a sensor: by its description, or its name in words, with its kind where that is known."""
        if details := (self.sensor_details.get(sensor) or "").strip():
            return details if "sensor" in details.lower() else f"{details} sensor"
        words = readable(sensor)
        kind = self.sensor_type.get(sensor)
        if kind:
            return f"{readable(kind)} sensor {words}"
        return f"sensor {words}" if re.search(r"\d", words) else f"{words} sensor"

    def label_texts(self, label: str) -> list[str]:
        """Wordings of an activity: those of the home, or else general ones (see `describe_label`)."""
        own = [text.strip() for text in self.label_to_text.get(label, []) if text.strip()]
        return list(dict.fromkeys(own)) or describe_label(label)


def read_home(path: Path, name: str | None = None) -> Home:
    """Read a home description.

    Args:
        path: JSON, either one description or, as in the public CASAS metadata, one for each of several homes by name.
        name: which home; needed where the file describes several.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not JSON, not a home, or several homes and no (or an unknown) name.
    """
    content = read_json(path, "home description")
    if not isinstance(content, dict):
        raise ValueError(f"The home description {path} is a JSON {type(content).__name__}; expected an object.")
    keys = set(Home.model_fields)
    if not keys & set(content):
        homes = {key: value for key, value in content.items() if isinstance(value, dict) and keys & set(value)}
        if not homes:
            raise ValueError(f"The home description {path} has none of the keys {sorted(keys)}.")
        if name is None and len(homes) == 1:
            name = next(iter(homes))
        if name not in homes:
            raise ValueError(f"{path} describes the homes {sorted(homes)}: choose one with home_name (given: {name}).")
        content = homes[name]
    try:
        return Home.model_validate(content)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()[:10])
        raise ValueError(f"The home description {path} is wrong: {faults}.") from error


class Layout:
    """Where sensors are: [x, y] in the unit square for pairs of room and sensor."""

    def __init__(self, points: Mapping[str, Mapping[str, Point]], bounds: Mapping[str, Point] | None = None) -> None:
        """Take `{room: {sensor: (x, y)}}` and, where coordinates were scaled, the lowest and highest x and y."""
        self.points = points
        self.bounds = bounds or {}

    def locate(self, sensors: Shaped[np.ndarray, " e"], rooms: Shaped[np.ndarray, " e"]) -> Float[np.ndarray, "2 e"]:
        """X and y of each event; NaN where the place of the sensor is not known."""
        pairs, inverse = np.unique(np.stack([rooms, sensors]), axis=1, return_inverse=True)
        nowhere = (math.nan, math.nan)
        points = [self.points.get(str(room), {}).get(str(sensor), nowhere) for room, sensor in pairs.T]
        return np.array(points, dtype=np.float64).reshape(-1, 2).T[:, inverse.reshape(-1)]


def layout(home: Home, pairs: Iterable[tuple[str, str]]) -> Layout:
    """The places of sensors.

    Described coordinates are scaled to [0, 1] over the described home, each axis by itself (an axis without extent
    becomes 0.5); sensors without them have no place. If the home describes no coordinates, rooms are laid out on a
    grid as square as can be, row by row in alphabetical order, and the sensors of a room side by side in its cell, in
    alphabetical order too. That says nothing of the true distances, only which room it is.

    Args:
        home: the description.
        pairs: (sensor, room) as they occur in the training events.
    """
    placed = set(pairs) | {(sensor, room) for sensor, room in home.sensor_location.items()}
    points: dict[str, dict[str, Point]] = {}
    if home.sensor_coordinates:
        places = np.array(list(home.sensor_coordinates.values()), dtype=np.float64)
        low, extent = places.min(axis=0), np.ptp(places, axis=0)
        unit = np.where(extent > 0, (places - low) / np.where(extent > 0, extent, 1.0), 0.5)
        by_sensor = dict(zip(home.sensor_coordinates, unit.tolist(), strict=True))
        for sensor, room in sorted(placed):
            if sensor in by_sensor:
                points.setdefault(room, {})[sensor] = (by_sensor[sensor][0], by_sensor[sensor][1])
        high = low + extent
        return Layout(points, {"x": (float(low[0]), float(high[0])), "y": (float(low[1]), float(high[1]))})

    rooms = sorted({room for _, room in placed})
    columns = math.ceil(math.sqrt(len(rooms)))
    rows = math.ceil(len(rooms) / columns)
    for number, room in enumerate(rooms):
        row, column = divmod(number, columns)
        sensors = sorted(sensor for sensor, place in placed if place == room)
        points[room] = {
            sensor: ((column + (index + 0.5) / len(sensors)) / columns, (row + 0.5) / rows)
            for index, sensor in enumerate(sensors)
        }
    return Layout(points)


def _room_in_name(sensor: str) -> str:
    word = re.sub(r"[\d_\-]+$", "", sensor)
    return word if len(word) > 2 else NO_ROOM
