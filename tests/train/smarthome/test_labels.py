from train.smarthome.labels import describe_label


def test_known_labels_are_described_whatever_their_case() -> None:
    assert describe_label("Cook_Dinner") == describe_label("cook_dinner") != "cook dinner"


def test_other_labels_are_their_name_in_words() -> None:
    assert describe_label("Feed_Cat") == "feed cat"
