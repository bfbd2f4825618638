"""Raw CASAS event files, in both public forms, as columns."""

import gzip
import lzma
import re
import warnings
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int64, Shaped

from chronos_jax.progress import progress_bar

Form = Literal["annotated", "labelled"]

MICROSECONDS_PER_DAY = 86_400_000_000
_FORM_SAMPLE = 1_000
_TIMED_LINE = re.compile(r"\s*(\d{4}-\d\d-\d\d)[\sT]+(\d{1,2}):(\d\d):(\d\d)(?:\.(\d*))?\s+(\S.*)")
_ANNOTATION = re.compile(r"(.*?)[\s=]+\"?(begin|end)\"?", re.IGNORECASE)
_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class MalformedLine:
    """A line that could not be read: its number, counted from 1, and why."""

    number: int
    reason: str


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
    rows: list[tuple[int, int, list[str]]] = []
    malformed: list[MalformedLine] = []
    days: dict[str, int | None] = {}
    for number, line in enumerate(_lines(path), start=1):
        match = _TIMED_LINE.fullmatch(line)
        if match is None:
            if line.strip():
                malformed.append(MalformedLine(number, "does not begin with a date and a time, followed by a sensor"))
            continue
        day_text, hour, minute, second, fraction, rest = match.groups()
        if day_text not in days:
            days[day_text] = _day(day_text)
        day = days[day_text]
        seconds = (int(hour) * 60 + int(minute)) * 60 + int(second)
        if day is None or int(hour) > 23 or int(minute) > 59 or int(second) > 59:
            malformed.append(MalformedLine(number, "its date or time does not exist"))
            continue
        micros = int(fraction[:6].ljust(6, "0")) if fraction else 0
        rows.append((day * MICROSECONDS_PER_DAY + seconds * 1_000_000 + micros, number, rest.split()))

    form = _form([fields for _, _, fields in rows[:_FORM_SAMPLE]])
    expected = "sensor state [activity begin|end]" if form == "annotated" else "sensor location state label"
    kept: list[tuple[int, int, list[str]]] = []
    for row, fits in zip(rows, _fitting(form, [fields for _, _, fields in rows]), strict=True):
        if fits:
            kept.append(row)
        else:
            malformed.append(MalformedLine(row[1], f"is not of the form `date time {expected}`"))
    malformed.sort(key=lambda line: line.number)

    if not kept:
        raise ValueError(
            f"{path} has no sensor event{f': all {len(malformed)} lines are malformed' if malformed else ''}. Expected "
            "lines `date time sensor state [activity begin|end]` or `date time sensor location state label`, such as "
            "`2011-06-15 01:03:39.14962 M003 ON`."
        )
    if malformed and strict:
        listed = "; ".join(f"line {line.number} {line.reason}" for line in malformed[:20])
        more = f"; and {len(malformed) - 20} more" if len(malformed) > 20 else ""
        raise ValueError(
            f"{path}: {len(malformed)} malformed lines, and strict reading was asked for: {listed}{more}. "
            "Mend or remove these lines, or read without strict to skip them."
        )
    timestamp = np.array([row[0] for row in kept], dtype=np.int64)
    if (np.diff(timestamp) < 0).any():
        backwards = int((np.diff(timestamp) < 0).sum())
        warnings.warn(f"{path} is not in order of time ({backwards} steps back): its events were sorted", stacklevel=2)
        order = np.argsort(timestamp, kind="stable")
        timestamp = timestamp[order]
        kept = [kept[index] for index in order]

    fields = [row[2] for row in kept]
    if form == "labelled":
        return Events(
            timestamp=timestamp,
            sensor=np.array([field[0] for field in fields]),
            location=np.array([field[1] for field in fields]),
            state=np.array([field[2] for field in fields]),
            label=np.array([field[3] for field in fields]),
            form=form,
            malformed=tuple(malformed),
        )
    return Events(
        timestamp=timestamp,
        sensor=np.array([field[0] for field in fields]),
        location=None,
        state=np.array([field[1] for field in fields]),
        label=_span_labels(path, [" ".join(field[2:]) for field in fields]),
        form=form,
        malformed=tuple(malformed),
    )


def _lines(path: Path) -> Iterator[str]:
    if not path.is_file():
        raise FileNotFoundError(f"There is no event file {path}. Give a raw CASAS file (plain, .gz or .xz).")
    data = path.read_bytes()
    try:
        if data.startswith(b"\x1f\x8b"):
            data = gzip.decompress(data)
        elif data.startswith(b"\xfd7zXZ\x00"):
            data = lzma.decompress(data)
    except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        raise ValueError(f"{path} cannot be decompressed ({error}): it is damaged or cut short.") from error
    # Published files contain stray bytes; such a line shall be malformed, not the whole file.
    lines = data.decode("utf-8", errors="replace").split("\n")
    with progress_bar() as progress:
        yield from progress.track(lines, description=f"reading {path.name}")


def _day(text: str) -> int | None:
    try:
        return date.fromisoformat(text).toordinal() - _EPOCH
    except ValueError:
        return None


def _fitting(form: Form, lines: list[list[str]]) -> list[bool]:
    """Which lines, split into the fields after the time, have the form."""
    if form == "annotated":
        return [
            len(fields) == 2 or (len(fields) > 2 and _ANNOTATION.fullmatch(" ".join(fields[2:])) is not None)
            for fields in lines
        ]
    return [len(fields) == 4 and _ANNOTATION.fullmatch(f"{fields[2]} {fields[3]}") is None for fields in lines]


def _form(sample: list[list[str]]) -> Form:
    return "labelled" if sum(_fitting("labelled", sample)) > sum(_fitting("annotated", sample)) else "annotated"


def _span_labels(path: Path, annotations: list[str]) -> Shaped[np.ndarray, " e"]:
    """The label of each event, from the `begin` and `end` annotations that some of them carry."""
    open_begins: dict[str, list[int]] = defaultdict(list)
    spans: list[tuple[int, int, str]] = []
    unopened = 0
    for index, annotation in enumerate(annotations):
        if not annotation:
            continue
        match = _ANNOTATION.fullmatch(annotation)
        assert match is not None, "lines of another form were set aside as malformed"
        activity, marker = match[1], match[2].lower()
        if marker == "begin":
            open_begins[activity].append(index)
        elif open_begins[activity]:
            spans.append((open_begins[activity].pop(), index, activity))
        else:
            unopened += 1
    unclosed = [(begin, begin, activity) for activity, begins in open_begins.items() for begin in begins]
    if unclosed or unopened:
        warnings.warn(
            f"{path}: {len(unclosed)} activities are never closed (only the line that begins them is labelled) and "
            f"{unopened} ends were never begun (ignored)",
            stacklevel=3,
        )
    labels = np.full(len(annotations), "", dtype=object)
    for begin, end, activity in sorted(spans + unclosed):
        labels[begin : end + 1] = activity  # later begins are painted over earlier ones: the innermost wins
    for _, end, activity in spans:
        labels[end] = activity
    return labels.astype(str)
