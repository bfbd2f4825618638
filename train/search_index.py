"""Windows that can be looked for by what they are: their embeddings, times, and what a person is shown of them."""

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import chain, islice
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64, Shaped, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from chronos_jax.replacing import replacing
from train.new_events import Embedded
from train.smarthome.dataset import CAPTION_TYPES, Window

MORE = 8  # times as many candidates are put in order next, where too many overlap


@dataclass(frozen=True)
class Shown:
    """What a person is shown of a window. Times are ISO 8601, "" where unknown; `caption` is its first, "" if none."""

    window_id: str
    start: str
    end: str
    rooms: list[str]
    caption: str

    @classmethod
    def of(cls, window: Window) -> "Shown":
        """That of a window."""
        texts = (text for kind in CAPTION_TYPES for text in window.captions.get(kind, []))
        return cls(window.window_id, window.start, window.end, window.rooms, next(texts, ""))


@dataclass(frozen=True)
class Found:
    """A window that was found, and the cosine similarity with what was looked for."""

    score: float
    window: Shown


@dataclass(frozen=True)
class SearchIndex:
    """All windows of some data.

    Attributes:
        windows_NxD: Unit embeddings.
        start_N: When each window begins, in local time; NaT where unknown.
        end_N: When it ends.
        shown: JSON of what is shown of each, one after the other as bytes: most of it is never looked at.
        behind_N: Where in `shown` that of each window ends.
    """

    windows_NxD: Float32[np.ndarray, "n d"]
    start_N: Shaped[np.ndarray, " n"]
    end_N: Shaped[np.ndarray, " n"]
    shown: UInt8[np.ndarray, " bytes"]
    behind_N: Int64[np.ndarray, " n"]

    @classmethod
    def of(cls, batches: Iterable[Embedded]) -> "SearchIndex":
        """The index of windows that come in batches; there has to be at least one."""
        embeddings: list[np.ndarray] = []
        times: list[tuple[np.datetime64, np.datetime64]] = []
        shown = bytearray()
        behind: list[int] = []
        for windows, windows_BxD in batches:
            embeddings.append(windows_BxD.astype(np.float32, copy=False))
            for window in windows:
                times.append((_local(window.start), _local(window.end)))
                shown += json.dumps(asdict(Shown.of(window))).encode()
                behind.append(len(shown))
        start_N, end_N = np.array(times, "datetime64[us]").T
        content = np.frombuffer(bytes(shown), np.uint8)
        return cls(np.concatenate(embeddings), start_N, end_N, content, np.array(behind, np.int64))

    def __len__(self) -> int:
        return len(self.windows_NxD)

    @property
    def timeless(self) -> int:
        """How many windows have no time."""
        return int(np.isnat(self.start_N).sum())

    def span(self) -> str:
        """When windows begin, in a sentence."""
        if self.timeless == len(self):
            return f"None of {len(self):,} windows has a time."
        known = self.start_N[~np.isnat(self.start_N)]
        first, last = (moment.item().isoformat(" ", "minutes") for moment in (known.min(), known.max()))
        return f"Windows begin between {first} and {last}."

    def __getitem__(self, number: int) -> Shown:
        """What is shown of a window."""
        begin = int(self.behind_N[number - 1]) if number else 0
        return Shown(**json.loads(self.shown[begin : int(self.behind_N[number])].tobytes()))

    def search(
        self,
        query_D: Float[np.ndarray, " d"],
        top: int = 10,
        since: datetime | None = None,
        until: datetime | None = None,
        overlapping: bool = False,
    ) -> list[Found]:
        """The windows most like a query, best first.

        Args:
            query_D: Unit embedding of what is looked for.
            top: At most so many.
            since: Only windows that begin then or later. Windows without time are left out.
            until: Only windows that begin before. Windows without time are left out.
            overlapping: Keep windows that overlap a better one in time; otherwise each moment is found once. Windows
                last from their first event to their last, both included: those that touch share a moment, and overlap.
                Windows without time overlap nothing.
        """
        score_N = self.windows_NxD @ query_D.astype(np.float32)
        ranked = _ranked(score_N, np.flatnonzero(self._within(since, until)), top)
        best = islice(chain.from_iterable(ranked) if overlapping else self._apart(ranked), top)
        return [Found(float(score_N[number]), self[number]) for number in best]

    def _within(self, since: datetime | None, until: datetime | None) -> Bool[np.ndarray, " n"]:
        within_N = np.ones(len(self), dtype=bool)
        if since is not None:
            within_N &= self.start_N >= np.datetime64(since, "us")
        if until is not None:
            within_N &= self.start_N < np.datetime64(until, "us")
        return within_N

    def _apart(self, ranked: Iterable[list[int]]) -> Iterator[int]:
        """These windows, without those that overlap one before."""
        firsts: list[int] = []  # of windows that were kept: apart from each other, so that both ascend
        lasts: list[int] = []
        for part in ranked:
            times_2xP = np.stack([self.start_N[part], self.end_N[part]])
            timeless_P = np.isnat(times_2xP).any(axis=0)
            first_P, last_P = np.sort(times_2xP, axis=0).view(np.int64)  # clocks that are set back let ends come first
            spans = zip(timeless_P.tolist(), first_P.tolist(), last_P.tolist(), strict=True)
            for number, (timeless, first, last) in zip(part, spans, strict=True):
                if not timeless:
                    place = bisect_right(firsts, last)
                    if place and lasts[place - 1] >= first:
                        continue
                    firsts.insert(place, first)
                    lasts.insert(place, last)
                yield number

    def save(self, path: Path, key: str) -> None:
        """Writes the index to a file that says what it was made from.

        Raises:
            OSError: It cannot be written.
        """
        arrays = {
            "windows": self.windows_NxD,
            "start": np.ascontiguousarray(self.start_N).view(np.int64),
            "end": np.ascontiguousarray(self.end_N).view(np.int64),
            "shown": self.shown,
            "behind": self.behind_N,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as beside:
            save_file(arrays, beside, {"key": key})

    @classmethod
    def load(cls, path: Path, key: str) -> "SearchIndex | None":
        """Reads an index that was made from this; None where there is none, or it cannot be read."""
        try:
            with safe_open(path, framework="numpy") as file:
                if file.metadata().get("key") != key:
                    return None
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            start_N, end_N = (arrays[name].view("datetime64[us]") for name in ("start", "end"))
            return cls(arrays["windows"], start_N, end_N, arrays["shown"], arrays["behind"])
        except (OSError, SafetensorError, KeyError, AttributeError):
            return None


def _local(text: str) -> np.datetime64:
    """ISO 8601 as local time, whatever zone it names; NaT for ""."""
    if not text:
        return np.datetime64("NaT", "us")
    return np.datetime64(datetime.fromisoformat(text).replace(tzinfo=None), "us")


def _ranked(
    score_N: Float32[np.ndarray, " n"], candidates_C: Int64[np.ndarray, " c"], wanted: int
) -> Iterator[list[int]]:
    """The candidates by falling score, of equal ones the first, in parts: about `wanted`, then ever more."""
    while len(candidates_C):
        score_C = score_N[candidates_C]
        highest = min(wanted, len(score_C))
        lower_C = score_C < np.partition(score_C, -highest)[-highest]
        part_P = candidates_C[~lower_C]
        yield part_P[np.argsort(-score_N[part_P], kind="stable")].tolist()
        candidates_C = candidates_C[lower_C]
        wanted *= MORE
