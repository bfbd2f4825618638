"""Raw CASAS event files day by day, in bounded memory."""

import warnings
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from train.smarthome.event_lines import MICROSECONDS_PER_DAY, EventLine, Form, MalformedLine, read_lines, without_events
from train.smarthome.events import Events, OpenActivities, annotation_of, events_of, moment

# How long a day waits behind midnight for lines that are written late.
SLACK = 3_600_000_000


def days_of(path: Path) -> Iterator[Events]:
    """The events of a raw CASAS file, one day after the other, while no more than a day and an hour of them are held.

    They are those of `read_events`, but for the labels of activities that are never closed: that is not known yet, so
    these label everything until the end. Events out of order are sorted within a day, and up to an hour across
    midnight. Malformed lines, and steps back in time, are warned of with their number when the file is read.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file cannot be decompressed, has no event at all, or an event is of a day that is over.
    """
    form, lines = read_lines(path)
    return _days(path, form, lines)


def _days(path: Path, form: Form, lines: Iterable[EventLine | MalformedLine]) -> Iterator[Events]:
    activities = OpenActivities()
    waiting = _Waiting(path)
    malformed: MalformedLine | None = None
    skipped = 0

    def columns(day: list[EventLine]) -> Events:
        labelled = form == "labelled"
        return events_of(
            form, day, [line.fields[3] if labelled else activities.label(annotation_of(line)) for line in day]
        )

    for line in lines:
        if isinstance(line, MalformedLine):
            malformed = malformed or line
            skipped += 1
        elif waiting.add(line):
            yield from map(columns, waiting.release())
    if not waiting.count:
        raise without_events(path, skipped)
    yield from map(columns, waiting.release(everything=True))
    if waiting.steps_back:
        warnings.warn(
            f"{path} is not in order of time ({waiting.steps_back} steps back): its events were sorted", stacklevel=2
        )
    if malformed is not None:
        warnings.warn(
            f"{path}: {skipped} malformed lines were skipped; the first is line {malformed.number}, which "
            f"{malformed.reason}",
            stacklevel=2,
        )


class _Waiting:
    """Events of days that are not over."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = self.steps_back = 0
        self._lines: list[EventLine] = []
        self._before = self._latest = self._settled = 0
        self._released: int | None = None  # all days before this time are

    def add(self, line: EventLine) -> bool:
        """Whether a day is over with this event."""
        if self._released is not None and line.timestamp < self._released:
            raise ValueError(
                f"{self.path}, line {line.number}, is of {moment(line.timestamp)}, but lines before it are of "
                f"{moment(self._latest)}: what is read in a stream has to be in order of days. Sort the file by its "
                "first field (sort -s -k1,1)."
            )
        self._lines.append(line)
        first, self.count = not self.count, self.count + 1
        self.steps_back += not first and line.timestamp < self._before
        self._before = line.timestamp
        if not first and line.timestamp <= self._latest:
            return False
        self._latest = line.timestamp
        settled = (line.timestamp - SLACK) // MICROSECONDS_PER_DAY * MICROSECONDS_PER_DAY
        over, self._settled = not first and settled > self._settled, settled
        return over

    def release(self, everything: bool = False) -> Iterator[list[EventLine]]:
        """The events of each day that is over, or that there is, in order of time."""
        self._released = self._settled
        self._lines.sort(key=lambda line: line.timestamp)
        days = [list(day) for _, day in groupby(self._lines, lambda line: line.timestamp // MICROSECONDS_PER_DAY)]
        over = [everything or day[0].timestamp < self._settled for day in days]
        self._lines = [line for day, gone in zip(days, over, strict=True) if not gone for line in day]
        return (day for day, gone in zip(days, over, strict=True) if gone)
