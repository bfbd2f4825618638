import pytest

from train.smarthome.names import readable, without_activities


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Cook_Dinner", "cook dinner"),
        ("LivingRoom", "living room"),
        ("WorkAreaLight", "work area light"),
        ("Watch_TV", "watch tv"),
        ("TVRoom", "tv room"),
        ("master-bedroom", "master bedroom"),
        ("M003", "M003"),
    ],
)
def test_names_in_words(name: str, words: str) -> None:
    assert readable(name) == words


@pytest.mark.parametrize(
    ("text", "activity"),
    [
        ("the toilet", "Toilet"),
        ("sensor Toilet2", "toilet"),
        ("toilet_flush sensor", "TOILET"),
        ("washing machine sensor", "WashingMachine"),
        ("BedToilet sensor", "Toilet"),
        ("the work at table corner", "Work_At_Table"),
    ],
)
def test_a_text_that_contains_an_activity_becomes_neutral(text: str, activity: str) -> None:
    assert without_activities({"X": text}, [activity], "room") == {"X": "room A"}


@pytest.mark.parametrize(
    ("text", "activity"),
    [
        ("the toiletries", "Toilet"),
        ("the toilet", "Bed_Toilet_Transition"),
        ("the table at work", "Work_At_Table"),
        ("sensor M001", "1"),
        ("the kitchen", "?"),
    ],
)
def test_other_texts_stay(text: str, activity: str) -> None:
    assert without_activities({"X": text}, [activity], "room") == {"X": text}


def test_neutral_names_are_distinct_and_in_order_of_name() -> None:
    texts = {f"Bed{number:02d}": "the bed" for number in reversed(range(28))} | {"Hall": "the hall"}
    neutral = without_activities(texts, ["Bed"], "room")
    assert [neutral[f"Bed{number:02d}"] for number in (0, 1, 25, 26, 27)] == [
        *("room A", "room B", "room Z", "room AA", "room AB")
    ]
    assert neutral["Hall"] == "the hall"
