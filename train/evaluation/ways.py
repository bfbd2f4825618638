"""Ways to recognise activities from what a run makes of windows."""

import json
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int

from train.evaluation.probe import Probe, linear_probe, neighbours_probe
from train.feature_shards import Features
from train.run import TrainedRun

WAYS = {
    "zero_shot": "zero-shot",
    "linear_probe_of_embedding": "linear probe of embedding",
    "neighbours_probe_of_embedding": "neighbours of embedding",
    "linear_probe_of_encoder": "linear probe of encoder",
    "neighbours_probe_of_encoder": "neighbours of encoder",
}

WINDOWS_AT_ONCE = 4096  # whose features are in memory together
MOST_PROBED = 20_000  # training windows that probes learn from, evenly spaced: some thousand features each, in float64


class Ways:
    """The probes of any number of runs on the same splits; those of an encoder's frozen features learn once."""

    def __init__(self, train_labels: Sequence[str]) -> None:
        """With the label of each training window, "" where it has none: of those that have one probes learn."""
        known_K = np.flatnonzero(np.array(train_labels) != "")
        self._windows_P = known_K[np.linspace(0, max(len(known_K), 1) - 1, min(len(known_K), MOST_PROBED)).astype(int)]
        self._labels = [train_labels[window] for window in self._windows_P]
        self._of_encoder: dict[str, list[str]] = {}

    def probes(
        self, run: TrainedRun, train_features: Features, val_features: Features, windows_NxD: Float[np.ndarray, "n d"]
    ) -> dict[str, Callable[[], list[str]]]:
        """Way of recognition → what predicts a label for each validation window, with a ValueError where it cannot.

        Args:
            run: What embeds.
            train_features: Of the run's encoder.
            val_features: Likewise.
            windows_NxD: Embeddings of the validation windows.
        """

        def of_embedding(make: Callable[..., Probe], **options: bool) -> list[str]:
            return make(embed(run, train_features, self._windows_P), self._labels, **options)(windows_NxD)

        def of_encoder(make: Callable[..., Probe], **options: bool) -> list[str]:
            key = json.dumps([make.__name__, run.encoder.identity])
            if key not in self._of_encoder:
                probe = make(train_features[self._windows_P], self._labels, **options)
                blocks = _blocks(np.arange(len(val_features)))
                self._of_encoder[key] = [label for rows in blocks for label in probe(val_features[rows])]
            return self._of_encoder[key]

        return {
            "linear_probe_of_embedding": lambda: of_embedding(linear_probe),
            "neighbours_probe_of_embedding": lambda: of_embedding(neighbours_probe, standardise=False),
            "linear_probe_of_encoder": lambda: of_encoder(linear_probe),
            "neighbours_probe_of_encoder": lambda: of_encoder(neighbours_probe, standardise=True),
        }


def embed(run: TrainedRun, features: Features, windows_N: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n d"]:
    """Embeddings of these windows; of their features only some are in memory at a time."""
    return np.concatenate([run.embed_features(features[rows]) for rows in _blocks(windows_N)])


def _blocks(windows_N: Int[np.ndarray, " n"]) -> Iterator[Int[np.ndarray, " b"]]:
    return (windows_N[first : first + WINDOWS_AT_ONCE] for first in range(0, len(windows_N), WINDOWS_AT_ONCE))
