import numpy as np
import pytest

from train.smarthome.events import MICROSECONDS_PER_DAY, Events
from train.smarthome.home import Layout
from train.smarthome.series import VARIATES, event_variates, pad_left
from train.smarthome.vocabulary import Vocabulary

NOON = MICROSECONDS_PER_DAY // 2
EVENTS = Events(
    timestamp=np.array([NOON, NOON + 500_000, NOON + 60_500_000, NOON + MICROSECONDS_PER_DAY]),
    sensor=np.array(["M001", "M002", "M003", "M001"]),
    location=None,
    state=np.full(4, "ON"),
    label=np.full(4, ""),
    form="annotated",
    malformed=(),
)
ROOMS = np.array(["Kitchen", "Bath", "Kitchen", "Kitchen"])
VOCABULARY = Vocabulary.of(["M001", "M002"], ["Kitchen", "Bath"])
PLACES = Layout({"Kitchen": {"M001": (0.0, 1.0)}, "Bath": {"M002": (0.25, 0.5)}})


def variate(name: str, across_days: bool = False) -> list[float]:
    variates_VxE = event_variates(EVENTS, ROOMS, VOCABULARY, PLACES, across_days)
    assert variates_VxE.dtype == np.float32
    return variates_VxE[VARIATES.index(name)].tolist()


def test_ids_are_over_the_size_of_the_vocabulary() -> None:
    assert variate("sensor") == [2 / 4, 3 / 4, 1 / 4, 2 / 4]  # M003 is unknown
    assert variate("room") == [3 / 4, 2 / 4, 3 / 4, 3 / 4]


def test_places() -> None:
    assert variate("x") == pytest.approx([0.0, 0.25, np.nan, 0.0], nan_ok=True)
    assert variate("y") == pytest.approx([1.0, 0.5, np.nan, 1.0], nan_ok=True)


def test_elapsed_is_since_the_previous_event_of_the_day() -> None:
    assert variate("elapsed") == pytest.approx([0.0, np.log1p(0.5), np.log1p(60.0), 0.0])


def test_elapsed_across_days() -> None:
    assert variate("elapsed", across_days=True)[3] == pytest.approx(np.log1p(86_400 - 60.5))


def test_padding_is_missing_and_on_the_left() -> None:
    series = pad_left(np.array([[1.0, 2.0]], dtype=np.float32), 4)
    np.testing.assert_array_equal(series, [[np.nan, np.nan, 1.0, 2.0]])


def test_the_latest_events_are_kept() -> None:
    series = pad_left(np.array([[1.0, 2.0, 3.0]], dtype=np.float32), 2)
    np.testing.assert_array_equal(series, [[2.0, 3.0]])


def test_no_event_at_all() -> None:
    assert np.isnan(pad_left(np.zeros((5, 0), dtype=np.float32), 3)).all()
