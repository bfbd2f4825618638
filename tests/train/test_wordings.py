import json
from pathlib import Path

import numpy as np
import pytest

from train.text import PrecomputedEmbeddings, WordVocabulary
from train.wordings import check_query, check_wordings, read_wordings

WORDS = WordVocabulary.of(["somebody was in the kitchen"])
FILE = PrecomputedEmbeddings(Path("texts.npz"), {"in the kitchen": 0}, np.ones((1, 2), np.float32))


def written(folder: Path, content: object) -> Path:
    path = folder / "labels.json"
    path.write_text(json.dumps(content))
    return path


def test_labels_have_one_wording_or_several(tmp_path: Path) -> None:
    path = written(tmp_path, {"Cook": "in the kitchen", "Sleep": ["in bed", "asleep"]})
    assert read_wordings(path) == {"Cook": ["in the kitchen"], "Sleep": ["in bed", "asleep"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "has to be a JSON object"),
        ({}, "has to be a JSON object"),
        ({"Cook": []}, "'Cook' is described by \\[\\]; expected a text"),
        ({"Cook": " "}, "'Cook' is described by ' '"),
        ({"Cook": ["a", 1]}, "'Cook' is described by"),
        ({"Cook": {"text": "a"}}, "'Cook' is described by"),
        ({"": "a"}, "'' is described by 'a'"),
    ],
)
def test_labels_of_another_form(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_wordings(written(tmp_path, content))


def test_unknown_words_of_a_query_are_counted() -> None:
    check_query(WORDS, "Somebody in the kitchen")
    with pytest.warns(UserWarning, match="2 words do not occur .*: gets, bathroom"):
        check_query(WORDS, "somebody gets in the bathroom")


def test_a_query_without_a_known_word_is_an_error_that_says_what_to_do() -> None:
    with (
        pytest.warns(UserWarning, match="1 word does not occur"),
        pytest.raises(ValueError, match=r"knows no word of 'bathroom'.*ask in words such as theirs"),
    ):
        check_query(WORDS, "bathroom")
    with pytest.raises(ValueError, match="knows no word of '!'"):
        check_query(WORDS, "!")


def test_an_empty_query() -> None:
    with pytest.raises(ValueError, match="the query is empty"):
        check_query(WORDS, " ")


def test_a_file_of_embeddings_knows_its_own_texts_alone() -> None:
    check_query(FILE, "in the kitchen")
    with pytest.raises(ValueError, match=r"'in the bathroom' cannot be looked for.*texts\.npz.*naming an encoder"):
        check_query(FILE, "in the bathroom")


def test_labels_of_which_nothing_is_known() -> None:
    with pytest.warns(UserWarning, match="3 words do not occur"):
        check_wordings(WORDS, {"Cook": ["cooking", "in the kitchen"], "Sit": ["was sitting down"]})
    with (
        pytest.warns(UserWarning, match="1 word does not"),
        pytest.raises(ValueError, match=r"no word of what describes Nap: .*--labels FILE"),
    ):
        check_wordings(WORDS, {"Cook": ["in the kitchen"], "Nap": ["napping"]})
