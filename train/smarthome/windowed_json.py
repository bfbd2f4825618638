"""The windowed JSON of earlier smart-home projects, read as the same windows that `train.prepare` writes."""

import hashlib
import math
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from train.smarthome.dataset import CAPTION_TYPES, Header, Source, SplitHeader, SplitName, Window, WindowSplit
from train.smarthome.files import read_json, sha256_of
from train.smarthome.labels import describe_label, warn_of_undescribed
from train.smarthome.series import VARIATES, pad_left
from train.smarthome.vocabulary import UNKNOWN, Vocabulary

# Numbers above this are milliseconds since 1970 (as seconds they would lie beyond the year 5000).
_MILLISECONDS_FROM = 1e11
# Captions of no declared type count as long from this many words, as in the projects that write this form.
_LONG_WORDS = 10


def read_windowed_json(
    path: Path,
    vocab_path: Path,
    split: SplitName,
    sequence_length: int | None = None,
    like: Header | None = None,
) -> WindowSplit[Window]:
    """Read a windowed JSON file as one split.

    The file is a list of samples, or `{"samples": [...]}`. A sample has `sensor_sequence` or `events`, a list of
    objects with `sensor_id` or `sensor`; `room_id` or `room`; optionally `x` and `y`, `delta_t_since_prev` (seconds) or
    `timestamp` (ISO 8601, or a number of seconds, or of milliseconds since 1970). Its label is
    `metadata.ground_truth_labels.primary_l1` or `first_activity`; its captions are `long_captions` and
    `short_captions`, or `captions`, which count as long from ten words.

    Coordinates that do not all lie in [0, 1] are scaled to it by the lowest and highest of the file. Missing
    coordinates or times are missing values (NaN); the first event's time since the previous one is 0 unless given.
    Values that the vocabulary does not have are unknown, and counted in `Header.unknown_values`.

    Args:
        path: the file.
        vocab_path: its vocabulary, `{field: {value: id}}` with the fields `sensor` or `sensor_id`, and `room` or
            `room_id`.
        split: what to call it.
        sequence_length: events in a window: of more, the latest are kept; fewer are padded. The longest sample's, or
            that of `like`, if not given.
        like: the header of another split of the same data (validation: that of training), to scale coordinates and
            choose the sequence length as there.

    Raises:
        FileNotFoundError: no such file, or no such vocabulary.
        ValueError: not JSON, or not of this form; the message names the sample (counted from 0) and the field.
    """
    vocabulary = _vocabulary(vocab_path)
    samples = _samples(path)
    parsed = [_Sample(path, number, sample) for number, sample in enumerate(samples)]

    bounds = dict(like.coordinate_bounds) if like is not None else _bounds(parsed)
    if sequence_length is None:
        sequence_length = like.sequence_length if like is not None else max(len(sample.sensors) for sample in parsed)
    windows = [sample.window(vocabulary, bounds, sequence_length) for sample in parsed]

    labels = sorted({window.label for window in windows} - {""})
    warn_of_undescribed(labels, path)
    read_as = f"{sha256_of(path, vocab_path)} {sequence_length} {sorted(bounds.items())}"
    fingerprint = hashlib.sha256(read_as.encode()).hexdigest()
    header = Header(
        variates=list(VARIATES),
        sequence_length=sequence_length,
        splits={split: SplitHeader(count=len(windows), files=[path.name], sha256=fingerprint)},
        labels=labels,
        label_to_text={label: describe_label(label) for label in labels},
        vocabulary={field: dict(ids) for field, ids in vocabulary.ids.items()},
        coordinate_bounds=bounds,
        sources=[Source(name=path.name, sha256=sha256_of(path))],
        events={split: sum(len(sample.sensors) for sample in parsed)},
        unknown_values={
            "sensor": sum(vocabulary.unknown("sensor", sample.sensors) for sample in parsed),
            "room": sum(vocabulary.unknown("room", sample.rooms) for sample in parsed),
        },
    )
    return WindowSplit(header, fingerprint, windows, _itself)


class _Sample:
    """One sample, checked and in columns."""

    def __init__(self, path: Path, number: int, sample: Any) -> None:
        self._place = f"{path}, sample {number}"
        self._number = number
        if not isinstance(sample, dict):
            raise ValueError(f"{self._place} is a JSON {type(sample).__name__}; expected an object.")
        key = "sensor_sequence" if "sensor_sequence" in sample else "events"
        events = sample.get(key)
        if not isinstance(events, list) or not events:
            raise ValueError(f"{self._place} needs a non-empty list of events as 'sensor_sequence' or 'events'.")
        if wrong := [index for index, event in enumerate(events) if not isinstance(event, dict)]:
            raise ValueError(f"{self._place}, {key!r}: event {wrong[0]} is not an object.")
        self._sample = sample
        self.sensors = [self._name(index, event, "sensor_id", "sensor") for index, event in enumerate(events)]
        self.rooms = [self._name(index, event, "room_id", "room") for index, event in enumerate(events)]
        self.xy_2xE = np.array(
            [[self._number_or_nan(index, event, axis) for index, event in enumerate(events)] for axis in ("x", "y")]
        )
        self._times = [self._time(index, event) for index, event in enumerate(events)]
        self._elapsed = [self._seconds(index, event) for index, event in enumerate(events)]

    def window(self, vocabulary: Vocabulary, bounds: Mapping[str, tuple[float, float]], length: int) -> Window:
        metadata = self._sample.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        xy_2xE = self.xy_2xE
        if bounds:
            low, high = (np.array([bounds["x"][end], bounds["y"][end]])[:, None] for end in (0, 1))
            xy_2xE = np.where(high > low, (xy_2xE - low) / np.where(high > low, high - low, 1.0), 0.5 + 0 * xy_2xE)
        variates_VxE = np.stack(
            [
                vocabulary.encode("sensor", np.array(self.sensors)) / vocabulary.size("sensor"),
                vocabulary.encode("room", np.array(self.rooms)) / vocabulary.size("room"),
                *xy_2xE,
                np.log1p(np.array(self._elapsed)),
            ]
        ).astype(np.float32)
        return Window(
            window_id=str(self._sample.get("sample_id") or metadata.get("window_id") or f"sample-{self._number:06d}"),
            series=pad_left(variates_VxE, length),
            captions=self._captions(),
            label=self._label(metadata),
            start=_iso(self._times[0]),
            end=_iso(self._times[-1]),
            rooms=sorted(set(self.rooms)),
            sensors=sorted(set(self.sensors)),
        )

    def _name(self, index: int, event: dict[str, Any], *keys: str) -> str:
        key = next((key for key in keys if key in event), None)
        if key is None:
            raise ValueError(f"{self._place}, event {index} has neither {keys[0]!r} nor {keys[1]!r}: it needs one.")
        value = event[key]
        if value is not None and not isinstance(value, str | int):
            raise ValueError(f"{self._place}, event {index}: {key!r} is {value!r}; expected a name.")
        return UNKNOWN if value is None else str(value)

    def _number_or_nan(self, index: int, event: dict[str, Any], key: str) -> float:
        value = event.get(key)
        if value is None:
            return math.nan
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{self._place}, event {index}: {key!r} is {value!r}; expected a number.")
        return float(value)

    def _time(self, index: int, event: dict[str, Any]) -> datetime | float | None:
        value = event.get("timestamp")
        if isinstance(value, str):
            try:
                return datetime.fromisoformat(value)
            except ValueError as error:
                raise ValueError(
                    f"{self._place}, event {index}: 'timestamp' is {value!r}; expected ISO 8601 or a number."
                ) from error
        if value is None:
            return None
        seconds = self._number_or_nan(index, event, "timestamp")
        return seconds / 1000 if seconds > _MILLISECONDS_FROM else seconds

    def _seconds(self, index: int, event: dict[str, Any]) -> float:
        if event.get("delta_t_since_prev") is not None:
            seconds = self._number_or_nan(index, event, "delta_t_since_prev")
            if seconds < 0:
                raise ValueError(
                    f"{self._place}, event {index}: 'delta_t_since_prev' is {seconds}; it cannot be negative."
                )
            return seconds
        if index == 0:
            return 0.0
        now, before = self._times[index], self._times[index - 1]
        if isinstance(now, datetime) and isinstance(before, datetime):
            if (now.tzinfo is None) != (before.tzinfo is None):
                raise ValueError(f"{self._place}, event {index}: only some 'timestamp' have a time zone.")
            return max(0.0, (now - before).total_seconds())
        if isinstance(now, float) and isinstance(before, float):
            return max(0.0, now - before)
        return math.nan

    def _captions(self) -> dict[str, list[str]]:
        if any(f"{kind}_captions" in self._sample for kind in CAPTION_TYPES):
            return {kind: self._texts(f"{kind}_captions") for kind in CAPTION_TYPES}
        texts = self._texts("captions")
        return {
            "long": [text for text in texts if len(text.split()) >= _LONG_WORDS],
            "short": [text for text in texts if len(text.split()) < _LONG_WORDS],
        }

    def _texts(self, key: str) -> list[str]:
        texts = self._sample.get(key) or []
        texts = [texts] if isinstance(texts, str) else texts
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"{self._place}: {key!r} has to be a list of texts.")
        return [text for text in texts if text.strip()]

    def _label(self, metadata: dict[str, Any]) -> str:
        truth = metadata.get("ground_truth_labels")
        label = truth.get("primary_l1") if isinstance(truth, dict) else None
        label = self._sample.get("first_activity") if label is None else label
        if label is not None and not isinstance(label, str):
            raise ValueError(f"{self._place}: 'first_activity' is {label!r}; expected a text.")
        return label or ""


def _itself(window: Window) -> Window:
    return window


def _iso(time: datetime | float | None) -> str:
    return time.isoformat() if isinstance(time, datetime) else ""


def _bounds(samples: list[_Sample]) -> dict[str, tuple[float, float]]:
    xy_2xE: Float[np.ndarray, "2 e"] = np.concatenate([sample.xy_2xE for sample in samples], axis=1)
    known = [axis[~np.isnan(axis)] for axis in xy_2xE]
    if not all(len(axis) for axis in known) or all(axis.min() >= 0 and axis.max() <= 1 for axis in known):
        return {}
    return {name: (float(axis.min()), float(axis.max())) for name, axis in zip("xy", known, strict=True)}


def _samples(path: Path) -> list[Any]:
    content = read_json(path, "windowed JSON file")
    samples = content.get("samples") if isinstance(content, dict) else content
    if not isinstance(samples, list):
        raise ValueError(f'{path} is no windowed JSON: expected a list of samples, or {{"samples": [...]}}.')
    if not samples:
        raise ValueError(f"{path} has no samples.")
    return samples


def _vocabulary(path: Path) -> Vocabulary:
    content = read_json(path, "vocabulary")
    if not isinstance(content, dict):
        raise ValueError(
            f"The vocabulary {path} is a JSON {type(content).__name__}; expected {{field: {{value: id}}}}."
        )
    ids: dict[str, dict[str, int]] = {}
    for field in ("sensor", "room"):
        key = next((key for key in (field, f"{field}_id") if key in content), None)
        if key is None:
            raise ValueError(f"The vocabulary {path} has neither {field!r} nor '{field}_id'; it has {sorted(content)}.")
        table = content[key]
        if not isinstance(table, dict) or not table or not all(type(number) is int for number in table.values()):
            raise ValueError(f"The vocabulary {path}: {key!r} has to map values to integer ids.")
        ids[field] = table if UNKNOWN in table else {**table, UNKNOWN: max(table.values()) + 1}
    return Vocabulary(ids)
