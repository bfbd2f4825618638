from datetime import datetime, timedelta

import pytest

from train.smarthome.captions import LONG, SHORT, Names, Scene, captions, daypart, duration_text
from train.smarthome.home import Home

SCENE = Scene(
    start=datetime(2024, 1, 1, 7, 5),
    end=datetime(2024, 1, 1, 7, 17),
    rooms=["Kitchen", "Kitchen", "Kitchen", "LivingRoom"],
    sensors=["M001", "M001", "M002", "M003"],
)


def names(home: Home | None = None, activities: tuple[str, ...] = ()) -> Names:
    return Names.of(SCENE.rooms, SCENE.sensors, home or Home(), activities)


def test_two_long_and_two_short_of_different_wording() -> None:
    texts = captions("train-000001", SCENE, names())
    assert {kind: len(set(wordings)) for kind, wordings in texts.items()} == {"long": 2, "short": 2}
    assert min(len(text) for text in texts["long"]) > max(len(text) for text in texts["short"])


def test_the_same_window_and_seed_give_the_same_captions() -> None:
    assert captions("a", SCENE, names(), seed=3) == captions("a", SCENE, names(), seed=3)


def test_windows_and_seeds_differ_in_wording() -> None:
    by_window = {str(captions(f"w{number}", SCENE, names())) for number in range(20)}
    by_seed = {str(captions("w", SCENE, names(), seed)) for seed in range(20)}
    assert min(len(by_window), len(by_seed)) > 5


def test_every_wording_is_used() -> None:
    texts = [captions(f"w{number}", SCENE, names()) for number in range(100)]
    assert len({text for each in texts for text in each["long"]}) == len(LONG)
    assert len({text for each in texts for text in each["short"]}) == len(SHORT)


def test_long_captions_tell_when_how_long_where_and_which_sensors() -> None:
    home = Home(sensor_details={"M001": "stove"})
    for number in range(20):
        for text in captions(f"w{number}", SCENE, names(home))["long"]:
            assert "Monday" in text
            assert "morning" in text
            assert "07:05" in text
            assert "about 12 minutes" in text or "07:17" in text
            assert "mostly in the kitchen, also in the living room" in text
            assert "stove sensor, sensor M002 and sensor M003" in text


def test_names_that_contain_an_activity_are_neutral_in_every_caption() -> None:
    home = Home(sensor_details={"M002": "toilet flush"})
    neutral = names(home, activities=("Kitchen", "Toilet"))
    for number in range(20):
        texts = captions(f"w{number}", SCENE, neutral)
        for text in texts["long"]:
            assert "mostly in room A, also in the living room" in text
            assert "sensor M001, sensor A and sensor M003" in text
        assert not any(word in text.lower() for text in texts["short"] for word in ("kitchen", "toilet"))


@pytest.mark.parametrize(
    ("hour", "name"),
    [(0, "night"), (4, "night"), (5, "morning"), (12, "afternoon"), (17, "evening"), (21, "evening"), (22, "night")],
)
def test_dayparts(hour: int, name: str) -> None:
    assert daypart(datetime(2024, 1, 1, hour)) == name


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (45, "45 seconds"),
        (61, "about 1 minute"),
        (3_600, "about 60 minutes"),
        (7_300, "about 2 hours"),
    ],
)
def test_durations(seconds: int, text: str) -> None:
    assert duration_text(timedelta(seconds=seconds)) == text
