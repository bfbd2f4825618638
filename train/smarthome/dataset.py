"""What training and evaluation read: windows, the header that describes them, and a split as a Grain data source."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, SupportsIndex, TypeVar

import numpy as np
from grain.sources import RandomAccessDataSource
from jaxtyping import Float32
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from train.smarthome.captions import Scene
from train.smarthome.home import Home

SplitName = Literal["train", "validation"]
CaptionType = Literal["long", "short"]

CAPTION_TYPES: tuple[CaptionType, ...] = ("long", "short")


@dataclass(frozen=True)
class Window:
    """One window of events. Times are ISO 8601 without a zone, "" where unknown; `label` is "" where there is none."""

    window_id: str
    series: Float32[np.ndarray, "v t"]
    captions: dict[str, list[str]]
    label: str
    start: str
    end: str
    rooms: list[str]
    sensors: list[str]

    @classmethod
    def of(
        cls,
        window_id: str,
        scene: Scene,
        series: Float32[np.ndarray, "v t"],
        captions: dict[str, list[str]],
        label: str,
    ) -> "Window":
        """A window of these events, its rooms and sensors in alphabetical order."""
        return cls(
            window_id=window_id,
            series=series,
            captions=captions,
            label=label,
            start=scene.start.isoformat(),
            end=scene.end.isoformat(),
            rooms=sorted(set(scene.rooms)),
            sensors=sorted(set(scene.sensors)),
        )


class SplitHeader(BaseModel):
    """The files of a split, the number of records in them, and the sha256 of their bytes in order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: int = Field(ge=0)
    files: list[str]
    sha256: str


class Source(BaseModel):
    """A file that the windows were made from: its name, the sha256 of its bytes, the lines that were skipped."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    sha256: str
    malformed_lines: list[int] = []


def _lists(value: Any) -> Any:
    """Folders written before there were several wordings have one text per label."""
    if isinstance(value, Mapping):
        return {label: [texts] if isinstance(texts, str) else texts for label, texts in value.items()}
    return value


class Header(BaseModel):
    """What a prepared folder's header.json says about its windows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["chronos_jax.smarthome"] = "chronos_jax.smarthome"
    version: Literal[1] = 1
    variates: list[str]
    sequence_length: int = Field(ge=1)
    splits: dict[SplitName, SplitHeader]
    labels: list[str]
    """Labels that occur in any split, in alphabetical order."""
    label_to_text: Annotated[dict[str, list[str]], BeforeValidator(_lists)]
    """Wordings of each label, at least one."""
    vocabulary: dict[str, dict[str, int]]
    layout: dict[str, dict[str, tuple[float, float]]] = {}
    """{room: {sensor: [x, y]}}, in the unit square."""
    coordinate_bounds: dict[str, tuple[float, float]] = {}
    """Lowest and highest x and y before scaling to the unit square, where coordinates were scaled."""
    caption_types: list[CaptionType] = list(CAPTION_TYPES)
    home: Home | None = None
    """What is known of the home besides: new events of it are read with this. Absent from older folders and JSON."""
    options: dict[str, Any] = {}
    """The options that the windows were prepared with."""
    sources: list[Source] = []
    written_captions: Source | None = None
    """The file of captions that were written elsewhere, if there is one."""
    captioned_windows: int = Field(default=0, ge=0)
    """Windows that have their captions from it."""
    events: dict[SplitName, int] = {}
    """Events that each split had before it was cut into windows."""
    unknown_values: dict[str, int] = {}
    """Events whose sensor or room is not in the vocabulary."""
    neutral_captions: int = Field(default=0, ge=0)
    """Captions that say "room A" or "sensor A" in place of a name that contains a label."""


Stored = TypeVar("Stored")


class WindowSplit(Generic[Stored]):
    """The windows of one split, read one at a time: a random access data source for Grain.

    `header` describes the data, `fingerprint` is a sha256 that changes with it.
    """

    kind = "windows"

    def __init__(
        self,
        header: Header,
        fingerprint: str,
        records: RandomAccessDataSource[Stored],
        decode: Callable[[Stored], Window],
    ) -> None:
        """Decode `records` on access; both have to be picklable, for Grain's worker processes."""
        self.header = header
        self.fingerprint = fingerprint
        self._records = records
        self._decode = decode

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: SupportsIndex) -> Window:
        position = index.__index__()
        if not -len(self) <= position < len(self):
            raise IndexError(f"There is no window {position}: the split has {len(self)}.")
        return self._decode(self._records[position % len(self)])

    def __iter__(self) -> Iterator[Window]:
        """One window after the other, each read when it is asked for."""
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"WindowSplit({len(self)} windows, {self.fingerprint[:12]})"

    def inputs(self, rows: range) -> Float32[np.ndarray, "b v t"]:
        """The series of some windows, as an encoder takes them."""
        return np.stack([self[row].series for row in rows])

    def series(self) -> Float32[np.ndarray, "w v t"]:
        """The series of all windows, in memory: of splits that fit there."""
        shape = (len(self), len(self.header.variates), self.header.sequence_length)
        series_WxVxT = np.empty(shape, dtype=np.float32)
        for index, window in enumerate(self):
            series_WxVxT[index] = window.series
        return series_WxVxT

    def labels(self) -> list[str]:
        """The label of every window, "" where there is none."""
        return [window.label for window in self]

    def captions(self, types: Sequence[str] = CAPTION_TYPES, maximum: int | None = None) -> list[list[str]]:
        """The captions of every window.

        Args:
            types: "long", "short" or both; those of the first type come first.
            maximum: at most so many per window.

        Raises:
            ValueError: a type that the windows do not have.
        """
        return [[text for texts in kinds for text in texts][:maximum] for kinds in self.captions_by_type(types)]

    def captions_by_type(self, types: Sequence[str] = CAPTION_TYPES) -> Iterator[list[list[str]]]:
        """Of one window after the other, the captions of each type.

        Raises:
            ValueError: a type that the windows do not have.
        """
        if unknown := set(types) - set(self.header.caption_types):
            raise ValueError(f"There are no captions of type {sorted(unknown)}; there are {self.header.caption_types}.")
        return ([window.captions[kind] for kind in types] for window in self)
