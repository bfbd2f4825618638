"""Windows of raw event files, cut as a run's data were, while they are read."""

import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
from jaxtyping import Int64, Shaped

from train.smarthome.captions import Names, Scene, captions
from train.smarthome.dataset import Header, Window
from train.smarthome.event_stream import days_of
from train.smarthome.events import Events
from train.smarthome.home import Home, Layout
from train.smarthome.series import event_variates, pad_left
from train.smarthome.vocabulary import PADDING, UNKNOWN, Field, Vocabulary
from train.smarthome.windows import RunningCut, WindowOptions, cut_windows, majority_label

Piece = tuple[Events, Int64[np.ndarray, "_ 2"]]
"""Events, and windows of them as indices."""

NAMED = 3  # how many unknown sensors or rooms a warning names


def windows_of(path: Path, header: Header) -> Iterator[Window]:
    """The windows of a raw CASAS event file, in order of time, as `train.prepare` cuts and describes them.

    The file is read as the windows are asked for, one day at a time. A window's id is the file's name and a number.
    Where the run's data were cut at every change of activity, windows here are not, since new events have no labels.

    Warnings, when the file is read: as `days_of`, and the shares of events whose sensor, and whose room, the run has
    not seen.

    Args:
        path: Plain, gzip or xz.
        header: Of the run's data: how windows are cut, vocabularies, places and names.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The header says nothing of how windows are cut, or of the home; or, also while windows are read, as
            `days_of`.
    """
    options = window_options(header)
    if (home := header.home) is None:
        raise ValueError(
            "the run's data were prepared before the description of the home was kept with them, so that nothing says "
            "which rooms new events are in: prepare them again with `python -m train.prepare`, and train anew"
        )
    if options.segment_by_activity:
        warnings.warn(
            "the run's windows were cut at every change of activity, which new events do not tell: those of "
            f"{path} are cut without, so that some span several activities",
            stacklevel=2,
        )
        options = options.model_copy(update={"segment_by_activity": False})
    days = _told_of_unknown(path, days_of(path), header, home)
    if options.cross_midnight:
        pieces = _across_midnight(days, options)
    else:
        pieces = ((day, cut_windows(day, np.ones(len(day), dtype=bool), options)) for day in days)
    return _windows(path, pieces, header, home, options)


def window_options(header: Header) -> WindowOptions:
    """How the windows that a header describes were cut.

    Raises:
        ValueError: It does not say so.
    """
    if absent := [name for name in WindowOptions.model_fields if name not in header.options]:
        raise ValueError(
            f"the run's data do not say how their windows were cut ({', '.join(absent)} missing), as windowed JSON "
            "never does: new events can only be cut for a run on a folder made by `python -m train.prepare`"
        )
    return WindowOptions.model_validate({name: header.options[name] for name in WindowOptions.model_fields})


def _across_midnight(days: Iterable[Events], options: WindowOptions) -> Iterator[Piece]:
    cut = RunningCut(options)
    yield from map(cut, days)
    yield cut(None)


def _windows(
    path: Path, pieces: Iterable[Piece], header: Header, home: Home, options: WindowOptions
) -> Iterator[Window]:
    vocabulary, places = Vocabulary(header.vocabulary), Layout(header.layout, header.coordinate_bounds)
    names = _GrowingNames(header, home)
    seed = header.options.get("seed", 0)
    numbers = count()
    for events, windows in pieces:
        rooms = home.rooms(events)
        variates_VxE = event_variates(events, rooms, vocabulary, places, options.cross_midnight)
        called = names.of(rooms, events.sensor)
        for start, stop in windows.tolist():
            window_id = f"{path.name}-{next(numbers):06d}"
            scene = Scene.of(events, rooms, start, stop)
            series = pad_left(variates_VxE[:, start:stop], options.length)
            label = majority_label(events.label[start:stop])
            yield Window.of(window_id, scene, series, captions(window_id, scene, called, seed), label)


def _known(header: Header, field: Field) -> set[str]:
    return set(header.vocabulary[field]) - {PADDING, UNKNOWN}


def _told_of_unknown(path: Path, days: Iterable[Events], header: Header, home: Home) -> Iterator[Events]:
    """The same days; behind the last, a warning of the sensors that are not known, and one of the rooms."""
    events = 0
    counts: dict[Field, Counter[str]] = {"sensor": Counter(), "room": Counter()}
    for day in days:
        events += len(day)
        counts["sensor"].update(day.sensor.tolist())
        counts["room"].update(home.rooms(day).tolist())
        yield day
    for field, counted in counts.items():
        known = _known(header, field)
        if unknown := Counter({name: number for name, number in counted.items() if name not in known}):
            warnings.warn(_told(path, field, unknown, events, known), stacklevel=2)
        if unknown.total() == events:  # then rooms tell nothing more
            return


def _told(path: Path, field: Field, unknown: Counter[str], events: int, known: Collection[str]) -> str:
    how_many = f"{len(unknown)} {field}" + ("s" if len(unknown) > 1 else "")
    named = ", ".join(name for name, _ in unknown.most_common(NAMED))
    if unknown.total() == events:
        return (
            f"none of the {how_many} of {path} is one that the run has seen (there: {named}; in the run: "
            f"{', '.join(sorted(known)[:NAMED])}): all count as unknown, and what is said of the events means little. "
            "Is it the same home?"
        )
    return (
        f"{unknown.total() / events:.1%} of the events of {path} ({unknown.total():,} of {events:,}) are of {how_many} "
        f"that the run has not seen, such as {named}: they count as unknown"
    )


class _GrowingNames:
    """What captions call rooms and sensors: those of the run's data, and new ones as they occur."""

    def __init__(self, header: Header, home: Home) -> None:
        self._home = home
        self._activities = [*header.labels, *(text for texts in header.label_to_text.values() for text in texts)]
        self._rooms, self._sensors = _known(header, "room"), _known(header, "sensor")
        self._names: Names | None = None

    def of(self, rooms: Shaped[np.ndarray, " e"], sensors: Shaped[np.ndarray, " e"]) -> Names:
        """Names for all that have occurred, these among them."""
        new_rooms, new_sensors = set(rooms.tolist()) - self._rooms, set(sensors.tolist()) - self._sensors
        if self._names is None or new_rooms or new_sensors:
            self._rooms |= new_rooms
            self._sensors |= new_sensors
            self._names = Names.of(self._rooms, self._sensors, self._home, self._activities)
        return self._names
