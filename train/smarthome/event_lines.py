"""The lines of raw CASAS event files, in both public forms, one after the other."""

import gzip
import lzma
import re
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain
from pathlib import Path
from typing import IO, Literal, NamedTuple

from chronos_jax.progress import progress_bar

Form = Literal["annotated", "labelled"]

MICROSECONDS_PER_DAY = 86_400_000_000
ANNOTATION = re.compile(r"(.*?)[\s=]+\"?(begin|end)\"?", re.IGNORECASE)
_FORM_SAMPLE = 1_000
_LINES_PER_LOOK = 10_000  # between two looks at how far the file is read
_TIMED_LINE = re.compile(r"\s*(\d{4}-\d\d-\d\d)[\sT]+(\d{1,2}):(\d\d):(\d\d)(?:\.(\d*))?\s+(\S.*)")
_EPOCH = date(1970, 1, 1).toordinal()


class EventLine(NamedTuple):
    """An event: its time in microseconds since 1970-01-01, its number from 1, and the fields after the time."""

    timestamp: int
    number: int
    fields: list[str]


@dataclass(frozen=True)
class MalformedLine:
    """A line that could not be read: its number, counted from 1, and why."""

    number: int
    reason: str


def read_lines(path: Path) -> tuple[Form, Iterator[EventLine | MalformedLine]]:
    """The form of a raw CASAS event file, and its lines, which are read as they are asked for.

    The forms, and how they are told apart, are described at `train.smarthome.events.read_events`. Blank lines are left
    out. Shows progress and lines per second.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file cannot be decompressed; also while the lines are read.
    """
    check_event_file(path)
    lines = _timed(_texts(path))
    head: list[EventLine | MalformedLine] = []
    sample: list[list[str]] = []
    while len(sample) < _FORM_SAMPLE and (line := next(lines, None)) is not None:
        head.append(line)
        if isinstance(line, EventLine):
            sample.append(line.fields)
    form = _form(sample)
    return form, _of_form(form, chain(head, lines))


def check_event_file(path: Path) -> None:
    """Raises FileNotFoundError where there is no such file: for those who do other work before they read it."""
    if not path.is_file():
        raise FileNotFoundError(f"There is no event file {path}. Give a raw CASAS file (plain, .gz or .xz).")


def without_events(path: Path, malformed: int) -> ValueError:
    """The error for a file that has no event, but so many malformed lines."""
    return ValueError(
        f"{path} has no sensor event{f': all {malformed} lines are malformed' if malformed else ''}. Expected "
        "lines `date time sensor state [activity begin|end]` or `date time sensor location state label`, such as "
        "`2011-06-15 01:03:39.14962 M003 ON`."
    )


def _texts(path: Path) -> Iterator[str]:
    with path.open("rb") as file, progress_bar("{task.fields[speed]:,.0f} lines/s") as progress:
        kib = path.stat().st_size // 1024
        task = progress.add_task(f"reading {path.name} (KiB)", total=kib, speed=0.0)
        begun = time.monotonic()
        for number, line in enumerate(_decompressed(path, file), start=1):
            if number % _LINES_PER_LOOK == 0:
                speed = number / (time.monotonic() - begun)
                progress.update(task, completed=file.tell() // 1024, speed=speed)
            # Published files contain stray bytes; such a line shall be malformed, not the whole file.
            yield line.decode("utf-8", errors="replace").removesuffix("\n")


def _decompressed(path: Path, file: IO[bytes]) -> Iterator[bytes]:
    start = file.read(6)
    file.seek(0)
    try:
        if start.startswith(b"\x1f\x8b"):
            with gzip.open(file) as lines:
                yield from lines
            return
        if start == b"\xfd7zXZ\x00":
            with lzma.open(file) as lines:
                yield from lines
            return
    except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        raise ValueError(f"{path} cannot be decompressed ({error}): it is damaged or cut short.") from error
    yield from file


def _timed(texts: Iterable[str]) -> Iterator[EventLine | MalformedLine]:
    day_text, day = "", None  # that of the line before, which most lines share
    for number, text in enumerate(texts, start=1):
        match = _TIMED_LINE.fullmatch(text)
        if match is None:
            if text.strip():
                yield MalformedLine(number, "does not begin with a date and a time, followed by a sensor")
            continue
        if match[1] != day_text:
            day_text = match[1]
            day = _day(day_text)
        _, hour, minute, second, fraction, rest = match.groups()
        seconds = (int(hour) * 60 + int(minute)) * 60 + int(second)
        if day is None or int(hour) > 23 or int(minute) > 59 or int(second) > 59:
            yield MalformedLine(number, "its date or time does not exist")
            continue
        micros = int(fraction[:6].ljust(6, "0")) if fraction else 0
        yield EventLine(day * MICROSECONDS_PER_DAY + seconds * 1_000_000 + micros, number, rest.split())


def _day(text: str) -> int | None:
    try:
        return date.fromisoformat(text).toordinal() - _EPOCH
    except ValueError:
        return None


def _of_form(form: Form, lines: Iterable[EventLine | MalformedLine]) -> Iterator[EventLine | MalformedLine]:
    expected = "sensor state [activity begin|end]" if form == "annotated" else "sensor location state label"
    for line in lines:
        if isinstance(line, MalformedLine) or _fits(form, line.fields):
            yield line
        else:
            yield MalformedLine(line.number, f"is not of the form `date time {expected}`")


def _form(sample: Sequence[list[str]]) -> Form:
    labelled, annotated = (sum(_fits(form, fields) for fields in sample) for form in ("labelled", "annotated"))
    return "labelled" if labelled > annotated else "annotated"


def _fits(form: Form, fields: list[str]) -> bool:
    """Whether the fields after the time are those of the form."""
    if form == "annotated":
        return len(fields) == 2 or (len(fields) > 2 and ANNOTATION.fullmatch(" ".join(fields[2:])) is not None)
    return len(fields) == 4 and ANNOTATION.fullmatch(f"{fields[2]} {fields[3]}") is None
