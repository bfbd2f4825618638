import pytest

from train.smarthome.labels import describe_label, warn_of_undescribed


def test_known_labels_are_described_whatever_their_case_in_several_wordings() -> None:
    texts = describe_label("Cook_Dinner")
    assert texts == describe_label("cook_dinner")
    assert len(set(texts)) == len(texts) > 1
    assert all("cooking dinner in the kitchen" in text for text in texts)


def test_other_labels_are_their_name_in_words() -> None:
    assert describe_label("Feed_Cat") == ["feed cat"]
    with pytest.warns(UserWarning, match="home: 1 labels have no description, such as Feed_Cat"):
        warn_of_undescribed(["Feed_Cat", "SLEEP"], "home")
    warn_of_undescribed(["SLEEP"], "home")
