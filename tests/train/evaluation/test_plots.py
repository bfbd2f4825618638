from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread

from train.evaluation import plots
from train.evaluation.plots import OTHERS, plot_confusion, plot_embeddings


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are saved."""
    figures: list[Figure] = []
    save = plots._save

    def keep(figure: Figure, path: Path) -> None:
        save(figure, path)
        figures.append(figure)

    monkeypatch.setattr(plots, "_save", keep)
    return figures


def texts(axis: Axes) -> list[str]:
    return [text.get_text() for text in axis.texts]


def test_rows_of_the_confusion_matrix_are_shares_of_actual_windows(tmp_path: Path, drawn: list[Figure]) -> None:
    truths = ["Cook", "Cook", "Cook", "Watch_TV"]
    plot_confusion(tmp_path / "confusion.png", truths, {"zero-shot": ["Cook", "Cook", "Watch_TV", "Watch_TV"]})
    axis = drawn[0].axes[0]
    np.testing.assert_allclose(axis.images[0].get_array(), [[2 / 3, 1 / 3], [0, 1]])
    assert [label.get_text() for label in axis.get_yticklabels()] == ["Cook  (3)", "Watch TV  (1)"]
    assert texts(axis) == ["67", "33", "100"]
    assert imread(tmp_path / "confusion.png").shape[0] > 200
    assert [path.name for path in tmp_path.iterdir()] == ["confusion.png"]


def test_rare_labels_share_a_row(tmp_path: Path, drawn: list[Figure]) -> None:
    truths = [f"label {number:02d}" for number in range(30) for _ in range(30 - number)]
    plot_confusion(tmp_path / "confusion.png", truths, {"one": truths, "another": truths[::-1]})
    labels = [label.get_text() for label in drawn[0].axes[0].get_yticklabels()]
    assert len(labels) == plots.MOST_LABELS + 1
    assert labels[0] == "label 00  (30)"
    assert labels[-1] == f"{OTHERS}  ({sum(range(1, 15))})"


def test_every_label_is_in_the_legend_and_every_description_has_its_number(tmp_path: Path, drawn: list[Figure]) -> None:
    rng = np.random.default_rng(0)
    labels = ["Sleep"] * 10 + ["Cook"] * 20 + [""] * 5
    descriptions = {label: rng.standard_normal(8) for label in ("Cook", "Eat", "Sleep")}
    plot_embeddings(tmp_path / "embeddings.png", rng.standard_normal((35, 8)), labels, descriptions)
    axis = drawn[0].axes[0]
    legend = axis.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "1 Cook (20)",
        "2 Sleep (10)",
        "3 Eat (0)",
        "no label (5)",
        "description, by number",
    ]
    assert texts(axis) == ["1", "2", "3"]


def test_numbers_of_equal_descriptions_keep_apart(tmp_path: Path, drawn: list[Figure]) -> None:
    rng = np.random.default_rng(0)
    descriptions = dict.fromkeys([f"label {number}" for number in range(12)], np.zeros(8))
    plot_embeddings(tmp_path / "embeddings.png", rng.standard_normal((35, 8)), [""] * 35, descriptions)
    boxes = [text.get_window_extent() for text in drawn[0].axes[0].texts]
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])


def test_more_labels_than_colours_are_drawn(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = [f"label {number}" for number in range(25)]
    plot_embeddings(tmp_path / "embeddings.png", rng.standard_normal((25, 4)), labels, {})
    assert (tmp_path / "embeddings.png").stat().st_size > 0
