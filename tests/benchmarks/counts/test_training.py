"""What is asked of training, and what its passes amount to; training itself is replaced."""

import pytest

from benchmarks.counts import training
from train.config import TrainConfig
from train.loop import Outcome


@pytest.mark.parametrize(("passes", "over_all"), [((2, 0), (1, 0)), ((100, 2), (50, 2)), ((3, 0), (2, 0))])
def test_passes_are_counted_over_all_windows(
    monkeypatch: pytest.MonkeyPatch, passes: tuple[int, int], over_all: tuple[int, int]
) -> None:
    """A pass for training windows and one for validation windows are one over all."""
    asked: list[TrainConfig] = []

    def train(config: TrainConfig) -> Outcome:
        asked.append(config)
        return Outcome(config.output_dir, 1, 0, passes[len(asked) - 1])

    monkeypatch.setattr(training, "train", train)
    assert tuple(training.encoder_passes(epochs=50).values()) == over_all
    first, second = asked
    assert first == second
    assert (first.max_epochs, first.encoder) == (50, "chronos2")
