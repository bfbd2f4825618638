import pytest

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
