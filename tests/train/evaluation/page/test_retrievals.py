import numpy as np
from report_page import make_page
from scipy.sparse import csr_array

from train.evaluation.page.content import Page
from train.evaluation.page.retrievals import EXAMPLES, FOUND, Found, examples


def page_of(similarity_NxC: np.ndarray, own_NxC: np.ndarray, labels: list[str]) -> Page:
    """A page whose windows and texts have these cosines."""
    windows, texts = similarity_NxC.shape
    return make_page(
        windows,
        labels=labels,
        descriptions={},
        windows_NxD=similarity_NxC.astype(np.float32),
        texts=[f"text {number}" for number in range(texts)],
        texts_CxD=np.eye(texts, dtype=np.float32),
        matches_NxC=csr_array(own_NxC.astype(np.float32)),
        captions=[[f"text {number}" for number in np.flatnonzero(own)] for own in own_NxC],
    )


def test_an_example_has_the_first_texts_with_scores_and_marks_its_own() -> None:
    similarity_1xC = np.array([[0.9, 0.1, 0.8, 0.2, 0.3, 0.4, 0.0]])
    right, wrong = examples(page_of(similarity_1xC, np.array([[0, 0, 1, 0, 0, 0, 1]]), ["Cook_Lunch"]))
    assert right == []
    [example] = wrong
    assert example.activity == "cook lunch"
    assert example.place == 2
    assert example.captions == ["text 2", "text 6"]
    assert [(found.text, found.right) for found in example.found] == [
        ("text 0", False),
        ("text 2", True),
        ("text 5", False),
        ("text 4", False),
        ("text 3", False),
    ]
    assert example.found[0] == Found("text 0", float(np.float32(0.9)), False)


def test_right_and_wrong_are_told_apart_and_a_tie_is_no_success() -> None:
    similarity_3xC = np.array([[0.9, 0.1], [0.1, 0.9], [0.5, 0.5]])
    own_3xC = np.array([[1, 0], [1, 0], [1, 0]])
    right, wrong = examples(page_of(similarity_3xC, own_3xC, ["a", "b", "c"]))
    assert [example.activity for example in right] == ["a"]
    assert [example.activity for example in wrong] == ["c", "b"]  # from the nearest miss to the furthest


def test_examples_are_spread_over_activities_and_over_how_well_it_went() -> None:
    margin_N = np.linspace(0.9, 0.1, 40)
    similarity_NxC = np.stack([margin_N, np.zeros(40)], axis=1)
    labels = ["often"] * 37 + ["rare", "rarer", "rarest"]
    page = page_of(similarity_NxC, np.tile([1, 0], (40, 1)), labels)
    right, wrong = examples(page)
    assert (len(right), wrong) == (EXAMPLES, [])
    assert {example.activity for example in right} == set(labels)
    assert len({example.when for example in right}) == EXAMPLES  # five different windows
    assert right[0].found[0].score > right[-1].found[0].score
    assert examples(page) == (right, wrong)


def test_windows_without_captions_are_not_asked() -> None:
    page = make_page(6)
    assert examples(make_page(6, matches_NxC=csr_array((6, 6), dtype=np.float32))) == ([], [])
    right, wrong = examples(page)
    assert len(right) + len(wrong) == 6
    assert all(len(example.found) == FOUND for example in right + wrong)


def test_a_window_that_has_every_text_is_right() -> None:
    right, wrong = examples(page_of(np.array([[0.1, 0.2]]), np.array([[1, 1]]), [""]))
    assert (len(right), wrong) == (1, [])
    assert right[0].activity == "no label"
