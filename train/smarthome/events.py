"""Raw CASAS event files, in both public forms, as columns."""

import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, Shaped

from train.smarthome.event_lines import (
    ANNOTATION,
    MICROSECONDS_PER_DAY,
    EventLine,
    Form,
    MalformedLine,
    read_lines,
    without_events,
)

_COLUMNS = ("timestamp", "sensor", "location", "state", "label")


@dataclass(frozen=True)
class Events:
    """Sensor events in order of time, one array element per event.

    `timestamp` is local time in microseconds since 1970-01-01 00:00; the files name no time zone, so none is assumed.
    `location` is None where the form of the file has no such column. `label` is "" outside any activity.
    """

    timestamp: Int64[np.ndarray, " e"]
    sensor: Shaped[np.ndarray, " e"]
    location: Shaped[np.ndarray, " e"] | None
    state: Shaped[np.ndarray, " e"]
    label: Shaped[np.ndarray, " e"]
    form: Form
    malformed: tuple[MalformedLine, ...]

    def __len__(self) -> int:
        return len(self.timestamp)

    def __getitem__(self, part: slice) -> "Events":
        """Consecutive events, with everything that is known of the file."""
        columns = {name: getattr(self, name) for name in _COLUMNS}
        cut: dict[str, Any] = {name: None if column is None else column[part] for name, column in columns.items()}
        return replace(self, **cut)

    @property
    def day(self) -> Int64[np.ndarray, " e"]:
        """Calendar day of each event, in days since 1970-01-01."""
        return self.timestamp // MICROSECONDS_PER_DAY


def read_events(path: Path, strict: bool = False) -> Events:
    """Read a raw CASAS event file: plain, gzip or xz (told apart by content, not by name).

    Two public forms are understood, fields separated by tabs or blanks:

    - annotated: `date time sensor state [activity begin|end]`. The activity's name may contain blanks, and
      `activity="begin"` is understood too. Activities span events. An `end` closes the most recent open `begin` of the
      same name. The lines carrying `begin` and `end` both belong to the activity; where activities nest or cross, an
      event has the label of the one begun last among those open, except that the line carrying an `end` has the label
      of the activity it ends. An activity that is never closed labels only the line that began it, since nothing says
      how far it reaches; such activities, and ends that were never begun, are warned of with their number.
    - labelled: `date time sensor location state label`.

    The form is found by content, from the first 1,000 lines with a time: two fields after the time, or any number
    followed by `begin` or `end`, speak for annotated; exactly four that do not end so, for labelled. The majority
    decides, annotated where equal; a label that is itself called `begin` or `end` therefore cannot be told from an
    annotation. Lines that do not have the file's form are malformed: skipped, and listed in `Events.malformed`.

    Fractions of a second may have any number of digits, or none; digits beyond the sixth are dropped. A file that is
    out of order is sorted (events of equal time keep their order) with a warning. Duplicate lines are kept.

    Args:
        path: the file.
        strict: make malformed lines an error.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file cannot be decompressed, has no event at all, or is malformed somewhere and `strict` is set.
    """
    form, lines = read_lines(path)
    kept: list[EventLine] = []
    malformed: list[MalformedLine] = []
    for line in lines:
        if isinstance(line, EventLine):
            kept.append(line)
        else:
            malformed.append(line)
    if not kept:
        raise without_events(path, len(malformed))
    if malformed and strict:
        listed = "; ".join(f"line {line.number} {line.reason}" for line in malformed[:20])
        more = f"; and {len(malformed) - 20} more" if len(malformed) > 20 else ""
        raise ValueError(
            f"{path}: {len(malformed)} malformed lines, and strict reading was asked for: {listed}{more}. "
            "Mend or remove these lines, or read without strict to skip them."
        )
    if backwards := steps_back(kept):
        warnings.warn(f"{path} is not in order of time ({backwards} steps back): its events were sorted", stacklevel=2)
        kept.sort(key=lambda line: line.timestamp)
    if form == "labelled":
        labels = [line.fields[3] for line in kept]
    else:
        labels = _span_labels(path, [annotation_of(line) for line in kept])
    return events_of(form, kept, labels, tuple(malformed))


def events_of(
    form: Form, lines: Sequence[EventLine], labels: Sequence[str], malformed: tuple[MalformedLine, ...] = ()
) -> Events:
    """Lines of a form, in order of time, as columns."""
    fields = [line.fields for line in lines]
    state = 1 if form == "annotated" else 2
    return Events(
        timestamp=np.array([line.timestamp for line in lines], dtype=np.int64),
        sensor=np.array([field[0] for field in fields]),
        location=None if form == "annotated" else np.array([field[1] for field in fields]),
        state=np.array([field[state] for field in fields]),
        label=np.array(labels),
        form=form,
        malformed=malformed,
    )


def joined(parts: Sequence[Events]) -> Events:
    """Events that follow each other, of one form; what is said of malformed lines is that of the first part."""
    if len(parts) == 1:
        return parts[0]
    columns = {name: [getattr(part, name) for part in parts] for name in _COLUMNS}
    whole: dict[str, Any] = {
        name: None if column[0] is None else np.concatenate(column) for name, column in columns.items()
    }
    return replace(parts[0], **whole)


def moment(timestamp: int) -> datetime:
    """The time of an event, from microseconds since 1970-01-01."""
    return datetime(1970, 1, 1) + timedelta(microseconds=timestamp)


def steps_back(lines: Sequence[EventLine]) -> int:
    """How many lines are earlier than the one before them."""
    return int((np.diff([line.timestamp for line in lines]) < 0).sum())


def annotation_of(line: EventLine) -> str:
    """What a line of the annotated form says of activities, "" for most."""
    return " ".join(line.fields[2:])


class OpenActivities:
    """The activities that have begun and not ended, while events go by in order of time."""

    def __init__(self) -> None:
        """None is open."""
        self._open: list[str] = []

    def __len__(self) -> int:
        return len(self._open)

    def label(self, annotation: str, never_closed: bool = False) -> str:
        """The label of the next event, given what its line says of activities.

        Args:
            annotation: "activity begin", "activity end" or "".
            never_closed: the activity that begins here is known not to end: only this line has its label.
        """
        if annotation:
            match = ANNOTATION.fullmatch(annotation)
            assert match is not None, "lines of another form were set aside as malformed"
            activity, begins = match[1], match[2].lower() == "begin"
            if begins and never_closed:
                return activity
            if begins:
                self._open.append(activity)
            elif activity in self._open:
                del self._open[len(self._open) - 1 - self._open[::-1].index(activity)]
                return activity
        return self._open[-1] if self._open else ""


def _span_labels(path: Path, annotations: Sequence[str]) -> list[str]:
    """The label of each event, from the `begin` and `end` annotations that some of them carry."""
    open_begins: dict[str, list[int]] = defaultdict(list)
    unopened = 0
    for index, annotation in enumerate(annotations):
        if match := ANNOTATION.fullmatch(annotation):
            if match[2].lower() == "begin":
                open_begins[match[1]].append(index)
            elif open_begins[match[1]]:
                open_begins[match[1]].pop()
            else:
                unopened += 1
    unclosed = {begin for begins in open_begins.values() for begin in begins}
    if unclosed or unopened:
        warnings.warn(
            f"{path}: {len(unclosed)} activities are never closed (only the line that begins them is labelled) and "
            f"{unopened} ends were never begun (ignored)",
            stacklevel=3,
        )
    activities = OpenActivities()
    return [activities.label(annotation, index in unclosed) for index, annotation in enumerate(annotations)]
