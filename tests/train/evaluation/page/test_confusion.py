import json
from typing import Any

import numpy as np
from report_page import HOSTILE_LABEL, make_page

from train.evaluation.page.confusion import MOST_LABELS, OTHERS, plot_confusion
from train.evaluation.page.content import Page


def page_of(labels: list[str], **predictions: list[str]) -> Page:
    return make_page(len(labels), labels=labels, predictions=predictions, descriptions={})


def drawn(page: Page) -> Any:
    plot = plot_confusion(page)
    assert plot is not None
    return plot


def test_rows_are_shares_of_actual_windows_by_frequency() -> None:
    truths = ["Cook", "Watch_TV", "Watch_TV", "Watch_TV", ""]
    plot = drawn(page_of(truths, one=["Cook", "Watch_TV", "Watch_TV", "Cook", "Sleep"], two=[*truths[:4], "Cook"]))
    assert list(plot.figure.layout.yaxis.ticktext) == ["watch tv (3)", "cook (1)"]
    assert list(plot.figure.layout.xaxis.ticktext) == ["watch tv", "cook"]
    first, second = (view.data[0] for view in plot.views.values())
    np.testing.assert_allclose(first.z, [[0.6667, 0.3333], [0, 1]])
    assert [list(row) for row in first.text] == [["67", "33"], ["", "100"]]
    assert first.hovertext[0][1] == "<b>watch tv</b> taken for <b>cook</b><br>1 of 3 windows (33.3%)"
    np.testing.assert_allclose(second.z, np.eye(2))


def test_labels_that_are_only_predicted_have_an_empty_row() -> None:
    plot = drawn(page_of(["Cook", "Cook"], one=["Cook", "Sleep"]))
    assert list(plot.figure.layout.yaxis.ticktext) == ["cook (2)", "sleep (0)"]
    np.testing.assert_allclose(plot.views["one"].data[0].z, [[0.5, 0.5], [0, 0]])


def test_very_many_labels_share_a_last_row() -> None:
    truths = [f"label {number:02d}" for number in range(60) for _ in range(60 - number)]
    plot = drawn(page_of(truths, one=truths))
    labels = list(plot.figure.layout.yaxis.ticktext)
    assert len(labels) == MOST_LABELS
    assert labels[-1] == f"{OTHERS} ({sum(range(1, 60 - MOST_LABELS + 2))})"
    np.testing.assert_allclose(plot.views["one"].data[0].z, np.eye(MOST_LABELS))


def test_names_are_no_markup() -> None:
    plot = drawn(page_of([HOSTILE_LABEL, "<b>x</b>"], one=["<b>x</b>", HOSTILE_LABEL]))
    written = json.dumps(plot.content())
    assert "<b>x" not in written
    assert "<b onmouseover" not in written
    assert "&lt;b&gt;x" in written


def test_there_is_no_matrix_without_labels_or_predictions() -> None:
    assert plot_confusion(page_of(["", ""], one=["Cook", "Cook"])) is None
    assert plot_confusion(page_of(["Cook", ""])) is None
