"""Which events form a window, and which windows train."""

from itertools import pairwise
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int64, Shaped
from pydantic import BaseModel, ConfigDict, Field, model_validator

from train.smarthome.events import Events, joined


class WindowOptions(BaseModel):
    """How events are cut into windows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window_kind: Literal["length", "duration"] = "length"
    """Windows of a fixed number of events, or of a fixed time."""

    length: int = Field(default=50, ge=1)
    """Events in a window; with window_kind duration the most it may have (of more, the latest are kept)."""

    duration: float = Field(default=60.0, gt=0)
    """Seconds that a window lasts, with window_kind duration."""

    overlap: float = Field(default=0.5, ge=0, lt=1)
    """Part of a window that the next one repeats."""

    minimum_events: int = Field(default=5, ge=1)
    """Windows with fewer events are dropped (a window of fixed length needs at most that length)."""

    segment_by_activity: bool = False
    """Cut at every change of activity first; events outside any activity then belong to no window."""

    cross_midnight: bool = False
    """Let windows span midnight."""


class SplitOptions(BaseModel):
    """Which days train and which validate. A day counts where it has an event."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    split: Literal["time", "day", "given"] = "time"
    """time: first days train, last days validate. day: whole days drawn with the seed. given: as listed."""

    train_days: int | None = Field(default=None, ge=1)
    """Days that train; all that do not validate, if not given."""

    validation_days: int | None = Field(default=None, ge=1)
    """Days that validate; if not given, those left by train_days, or else a fifth of all (at least one)."""

    given_train: tuple[str, ...] = ()
    """With split given: the days (YYYY-MM-DD) that train; all that do not validate, if not given."""

    given_validation: tuple[str, ...] = ()
    """With split given: the days (YYYY-MM-DD) that validate."""

    @model_validator(mode="after")
    def _consistent(self) -> "SplitOptions":
        if self.split != "given" and (self.given_train or self.given_validation):
            raise ValueError(f"given_train and given_validation need split 'given', not {self.split!r}")
        if self.split == "given" and (self.train_days or self.validation_days):
            raise ValueError("train_days and validation_days do not go with split 'given': list the days instead")
        if both := set(self.given_train) & set(self.given_validation):
            raise ValueError(f"days cannot both train and validate: {sorted(both)}")
        return self


def split_days(
    days: Int64[np.ndarray, " d"], options: SplitOptions, seed: int = 0
) -> tuple[Int64[np.ndarray, " t"], Int64[np.ndarray, " v"]]:
    """The days that train and those that validate, each in order.

    Args:
        days: distinct days with events, in days since 1970-01-01.
        options: how to choose.
        seed: for split "day".

    Raises:
        ValueError: there are too few days, or a given day has no event.
    """
    days = np.sort(days)
    if options.split == "given":
        validation = _named_days(days, options.given_validation, "given_validation")
        train = _named_days(days, options.given_train, "given_train")
        if not len(validation):
            raise ValueError("Split 'given' needs given_validation: the days (YYYY-MM-DD) that validate.")
        return (train if len(train) else np.setdiff1d(days, validation)), validation

    n_train, n_validation = options.train_days, options.validation_days
    _check_enough(len(days), n_train, n_validation)
    if n_validation is None:
        n_validation = len(days) - n_train if n_train is not None else max(1, len(days) // 5)
    if n_train is None:
        n_train = len(days) - n_validation
    if options.split == "day":
        days = np.random.default_rng(seed).permutation(days)
    return np.sort(days[:n_train]), np.sort(days[len(days) - n_validation :])


def _check_enough(days: int, n_train: int | None, n_validation: int | None) -> None:
    if days < 2:
        raise ValueError(f"The events cover {days} day; at least two are needed: one to train and one to validate.")
    if n_train is not None and n_validation is not None and n_train + n_validation > days:
        raise ValueError(
            f"train_days {n_train} and validation_days {n_validation} need {n_train + n_validation} days, but the "
            f"events cover {days} days. Give smaller ones, or more events."
        )
    for option, asked, purpose in (("train_days", n_train, "validate"), ("validation_days", n_validation, "train")):
        if asked is not None and asked >= days:
            raise ValueError(
                f"{option} {asked} leaves no day to {purpose}: the events cover {days} days. Give a {option} of at "
                f"most {days - 1}, or more events."
            )


def _named_days(days: Int64[np.ndarray, " d"], names: tuple[str, ...], option: str) -> Int64[np.ndarray, " n"]:
    try:
        named = np.array(names, dtype="datetime64[D]").astype(np.int64)
    except ValueError as error:
        raise ValueError(f"{option}: {error}. Write days as YYYY-MM-DD.") from error
    if absent := [name for name, day in zip(names, named, strict=True) if day not in days]:
        raise ValueError(f"{option} names days without events: {absent}.")
    return np.unique(named)


def cut_windows(events: Events, chosen: Bool[np.ndarray, " e"], options: WindowOptions) -> Int64[np.ndarray, "w 2"]:
    """First event, and one past the last, of every window.

    Windows are cut within segments: stretches of consecutive chosen events, ended by midnight unless `cross_midnight`
    and by a change of activity with `segment_by_activity`. What fills a window only partly is kept if it has at least
    `minimum_events` events and one that no full window has.

    Args:
        events: in order of time.
        chosen: the events of the split; no window holds any other.
        options: how to cut.

    Returns:
        Indices into `events`, in order of time.
    """
    segments = _segments(events, chosen, options)
    cuts = [_cut(events, start, stop, options) for start, stop in segments]
    return _long_enough(np.concatenate([np.zeros((0, 2), np.int64), *cuts]), options)


def _cut(events: Events, start: int, stop: int, options: WindowOptions) -> Int64[np.ndarray, "w 2"]:
    by_length = options.window_kind == "length"
    position = np.arange(start, stop, dtype=np.int64) if by_length else events.timestamp[start:stop]
    _, windows = _on_grid(position, int(position[0]), options)
    return start + windows


def majority_label(labels: Shaped[np.ndarray, " e"]) -> str:
    """The label that most events of a window have ("" counts as one); of equally frequent ones, the first to occur."""
    unique, first, count = np.unique(labels, return_index=True, return_counts=True)
    return str(unique[np.lexsort((first, -count))[0]])


def _segments(events: Events, chosen: Bool[np.ndarray, " e"], options: WindowOptions) -> list[tuple[int, int]]:
    usable = chosen & (events.label != "") if options.segment_by_activity else chosen
    breaks = usable[1:] != usable[:-1]
    if not options.cross_midnight:
        breaks = breaks | (np.diff(events.day) != 0)
    if options.segment_by_activity:
        breaks = breaks | (events.label[1:] != events.label[:-1])
    edges = [0, *(np.flatnonzero(breaks) + 1).tolist(), len(events)]
    return [(start, stop) for start, stop in pairwise(edges) if usable[start]]


def _grid(options: WindowOptions) -> tuple[int, int]:
    """How far a window reaches, and how far the next begins behind it: in events, or in microseconds."""
    extent = options.length if options.window_kind == "length" else round(options.duration * 1e6)
    return extent, max(1, round(extent * (1 - options.overlap)))


def _on_grid(
    position: Int64[np.ndarray, " e"], origin: int, options: WindowOptions
) -> tuple[Int64[np.ndarray, " w"], Int64[np.ndarray, "w 2"]]:
    """Where the windows of a segment begin, and the first event, and one past the last, of each.

    Args:
        position: of each event, ascending: its number or its time.
        origin: where the first window begins.
        options: how to cut.
    """
    extent, stride = _grid(options)
    begin = np.arange(origin, position[-1] + 1, stride, dtype=np.int64)
    edges = [np.searchsorted(position, begin + reach, side="left") for reach in (0, extent)]
    windows = np.stack(edges, axis=1).astype(np.int64)
    # At the end, and in quiet times, windows see the same events, or none, or only the end of what the one before saw.
    new = np.ones(len(windows), dtype=bool)
    new[1:] = windows[1:, 1] > windows[:-1, 1]
    return begin[new], windows[new]


def _long_enough(windows: Int64[np.ndarray, "_ 2"], options: WindowOptions) -> Int64[np.ndarray, "w 2"]:
    """The windows with enough events, and of each the latest where there are too many."""
    minimum = min(options.minimum_events, options.length) if options.window_kind == "length" else options.minimum_events
    windows = windows[windows[:, 1] - windows[:, 0] >= minimum]
    first = np.maximum(windows[:, 0], windows[:, 1] - options.length)
    return np.stack([first, windows[:, 1]], axis=1)


class RunningCut:
    """Cuts events that come piece by piece, across midnight, into the windows that `cut_windows` makes of all together.

    Activities do not cut. Of the events, only those that further windows need are kept.
    """

    def __init__(self, options: WindowOptions) -> None:
        """Nothing has come yet."""
        self.options = options
        self._held: Events | None = None
        self._before = 0  # events held that precede the next window: the one that time elapses from
        self._number = 0  # of the first event behind it
        self._origin: int | None = None  # where on the grid the latest window begins that is complete
        self._cut = False  # whether there is such a window

    def __call__(self, piece: Events | None) -> tuple[Events, Int64[np.ndarray, "w 2"]]:
        """The windows that are complete with this piece, which follows the one before in time; None is the end.

        Returns:
            Events, the first of which no window has unless it is the first of all, and the windows as indices into
            them.
        """
        events = joined([each for each in (self._held, piece) if each is not None])
        by_length = self.options.window_kind == "length"
        count = len(events) - self._before
        position = self._number + np.arange(count) if by_length else events.timestamp[self._before :]
        origin = int(position[0]) if self._origin is None else self._origin
        begin, windows = _on_grid(position, origin, self.options)
        extent, stride = _grid(self.options)
        # Events that are still to come may have the time of the latest one.
        settled = int(position[-1]) + (1 if by_length else 0)
        steps = (settled - extent - origin) // stride
        last = origin + steps * stride
        ready = (begin <= last) | (piece is None)
        if self._cut:
            ready &= begin > origin
        before = self._before
        self._hold(events, position, last if steps >= 0 else origin, self._cut or steps >= 0)
        return events, _long_enough(before + windows[ready], self.options)

    def _hold(self, events: Events, position: Int64[np.ndarray, " e"], origin: int, cut: bool) -> None:
        behind = int(np.searchsorted(position, origin, side="left"))
        first = self._before + behind
        self._origin, self._cut = origin, cut
        self._number += behind
        self._before = min(1, first)
        self._held = events[first - self._before :]
