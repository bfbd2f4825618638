import pytest

from train.smarthome.labels import describe_label
from train.smarthome.names import readable


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


def test_known_labels_are_described_whatever_their_case() -> None:
    assert describe_label("Cook_Dinner") == describe_label("cook_dinner") != "cook dinner"


def test_other_labels_are_their_name_in_words() -> None:
    assert describe_label("Feed_Cat") == "feed cat"
