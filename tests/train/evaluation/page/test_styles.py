import pytest

from train.evaluation.page.styles import COLOURS, HATCHES, SYMBOLS, UNLABELLED, order_of, styles_of


def test_labels_stand_in_the_order_of_their_frequency() -> None:
    labels = ["Eat", "Cook", "Cook", "", "", ""]
    counts = order_of(labels, [["Sleep", "Sleep", "Eat", "Read", "", "Cook"]], ["Dress", "Cook"])
    assert counts == {"Cook": 2, "Eat": 1, "Sleep": 0, "Read": 0, "Dress": 0}
    assert list(counts) == ["Cook", "Eat", "Sleep", "Read", "Dress"]


def test_as_many_labels_as_homes_have_look_different() -> None:
    styles = styles_of({f"label {number}": 1 for number in range(len(COLOURS) * len(SYMBOLS))})
    own = [style for label, style in styles.items() if label]
    assert len({(style.colour, style.symbol) for style in own}) == len({(style.colour, style.hatch) for style in own})
    assert len({(style.colour, style.symbol) for style in own}) == len(own) == len(COLOURS) * len(HATCHES)
    assert UNLABELLED not in {style.colour for style in own}
    assert styles[""].colour == UNLABELLED


@pytest.mark.parametrize(("label", "name"), [("Cook_Dinner", "cook dinner"), ("___", "___")])
def test_names_are_words_and_never_empty(label: str, name: str) -> None:
    assert styles_of({label: 1})[label].name == name
