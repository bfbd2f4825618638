"""What the page shows."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

from train.evaluation.page.styles import Style, order_of, styles_of


@dataclass(frozen=True)
class Page:
    """A run, its numbers, and what the pictures are drawn from; N validation windows, C distinct captions, width D.

    Attributes:
        title: Heading of the page.
        config: What the run's config.json holds; its key "run" has the versions of libraries.
        metrics: The lines of metrics.jsonl.
        report: What evaluation.json holds.
        labels: Label of each window, "" where it has none.
        predictions: Way of recognition, such as "zero-shot" → predicted label of every window.
        windows_NxD: Unit embeddings of the windows.
        descriptions: Label → unit embedding of its description; may be empty.
        starts: When each window begins, ISO 8601 without a zone, "" where unknown.
        ends: When each window ends, likewise.
        rooms: Rooms of each window.
        captions: Captions of each window.
        texts: The distinct captions.
        texts_CxD: Their unit embeddings.
        matches_NxC: Non-zero where a text is a caption of a window.
    """

    title: str
    config: dict[str, Any]
    metrics: list[dict[str, Any]]
    report: dict[str, Any]
    labels: list[str]
    predictions: dict[str, list[str]]
    windows_NxD: Float[np.ndarray, "n d"]
    descriptions: dict[str, Float[np.ndarray, " d"]]
    starts: list[str]
    ends: list[str]
    rooms: list[list[str]]
    captions: list[list[str]]
    texts: list[str]
    texts_CxD: Float[np.ndarray, "c d"]
    matches_NxC: csr_array

    def __post_init__(self) -> None:
        windows = len(self.windows_NxD)
        per_window = {name: len(getattr(self, name)) for name in ("labels", "starts", "ends", "rooms", "captions")}
        per_window |= {f"predictions {way!r}": len(predicted) for way, predicted in self.predictions.items()}
        if wrong := {name: length for name, length in per_window.items() if length != windows}:
            raise ValueError(f"{windows} windows were embedded, but there are {wrong}: give one of each per window")
        if not self.matches_NxC.shape == (windows, len(self.texts)) == (windows, len(self.texts_CxD)):
            raise ValueError(
                f"matches of shape {self.matches_NxC.shape} and {len(self.texts_CxD)} embeddings of texts do not "
                f"belong to {windows} windows and {len(self.texts)} texts: give a row per window and a column per text"
            )

    @cached_property
    def styles(self) -> dict[str, Style]:
        """How each label is drawn, the most frequent first; "" stands for windows without a label."""
        return styles_of(order_of(self.labels, self.predictions.values(), self.descriptions))
