import numpy as np
import pytest

from train.evaluation import ways
from train.evaluation.ways import Ways


def test_probes_learn_from_windows_with_a_label_evenly_spaced(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = ["", "cook"] * 50
    assert Ways(labels)._windows_P.tolist() == list(range(1, 100, 2))
    monkeypatch.setattr(ways, "MOST_PROBED", 6)
    few = Ways(labels)._windows_P
    assert len(few) == 6
    assert few[0] == 1
    assert few[-1] == 99
    assert np.ptp(np.diff(few)) <= 2


def test_none_may_have_a_label() -> None:
    assert Ways(["", ""])._windows_P.tolist() == []
