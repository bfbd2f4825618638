import time

import pytest

from benchmarks.side_by_side import disturbance
from benchmarks.side_by_side.disturbance import Processors, processors, taken_by_others


def test_what_is_busy_and_not_ones_own_is_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disturbance, "processors", lambda: Processors(107.0, 220.0))
    assert taken_by_others(Processors(100.0, 200.0), 4.0) == pytest.approx(3 / 20)
    assert taken_by_others(Processors(100.0, 200.0), 8.0) == 0
    assert taken_by_others(Processors(107.0, 220.0), 0.0) == 0


def test_work_shows_in_the_machine_s_processors() -> None:
    before, end = processors(), time.process_time() + 0.2
    while time.process_time() < end:
        pass
    after = processors()
    assert 0.1 < after.busy - before.busy <= after.total - before.total
