import json

import numpy as np
import pytest

from train.smarthome.vocabulary import Vocabulary

VOCABULARY = Vocabulary.of(["M002", "M001", "M001"], ["Kitchen"])


def test_padding_is_0_unknown_is_1_and_values_follow_in_order() -> None:
    assert VOCABULARY.ids == {
        "sensor": {"<PAD>": 0, "<UNK>": 1, "M001": 2, "M002": 3},
        "room": {"<PAD>": 0, "<UNK>": 1, "Kitchen": 2},
    }


def test_the_size_counts_padding_and_unknown() -> None:
    assert VOCABULARY.size("sensor") == 4
    assert VOCABULARY.size("room") == 3


def test_values_of_no_id_are_unknown() -> None:
    assert VOCABULARY.encode("sensor", np.array(["M002", "M009", "M001"])).tolist() == [3, 1, 2]


def test_it_survives_json() -> None:
    assert Vocabulary(json.loads(json.dumps(VOCABULARY.ids))) == VOCABULARY


@pytest.mark.parametrize(
    ("room", "message"),
    [
        (None, "no field 'room'"),
        ({"Kitchen": 0}, "no id for unknown"),
        ({"<UNK>": 0, "Kitchen": 0}, "negative or repeated"),
        ({"<UNK>": 0, "Kitchen": -1}, "negative or repeated"),
    ],
)
def test_broken_vocabularies(room: dict[str, int] | None, message: str) -> None:
    ids = {"sensor": {"<UNK>": 0}} | ({} if room is None else {"room": room})
    with pytest.raises(ValueError, match=message):
        Vocabulary(ids)
