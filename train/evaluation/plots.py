"""Pictures of an evaluation, as PNG: confusion matrices, and the embeddings in a plane."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.metrics import confusion_matrix
from threadpoolctl import threadpool_limits

from chronos_jax.replacing import replacing
from train.evaluation.free_places import free_places

MOST_LABELS = 16  # as many as a matrix shows with readable numbers; the others are one row together
OTHERS = "(others)"
COLOURS = 20  # of the colour map "tab20"
DOTS_PER_INCH = 150


def plot_confusion(path: Path, truths: Sequence[str], predictions: Mapping[str, Sequence[str]]) -> None:
    """Confusion matrices side by side, each row in shares of the windows that have this label.

    Args:
        path: The PNG to write, replaced where it exists.
        truths: The label of each window.
        predictions: Title of a matrix → predicted labels. The most frequent labels are shown, true ones first.
    """
    frequent = (
        Counter(truths).most_common()
        + Counter(
            label for predicted in predictions.values() for label in predicted if label not in set(truths)
        ).most_common()
    )
    shown = [label for label, _ in frequent][:MOST_LABELS]
    axis_labels = [*shown, OTHERS] if len(frequent) > MOST_LABELS else shown
    size = len(axis_labels)

    def grouped(labels: Sequence[str]) -> list[str]:
        return [label if label in shown else OTHERS for label in labels]

    figure = Figure(figsize=(1.8 + (1.0 + 0.5 * size) * len(predictions), 2.6 + 0.5 * size), layout="constrained")
    axes = figure.subplots(1, len(predictions), squeeze=False, sharey=True)[0]
    counts = Counter(grouped(truths))
    for axis, (title, predicted) in zip(axes, predictions.items(), strict=True):
        share = confusion_matrix(grouped(truths), grouped(predicted), labels=axis_labels, normalize="true")
        image = axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
        axis.set(title=title, xlabel="predicted")
        axis.set_xticks(range(size), [_readable(label) for label in axis_labels], rotation=90)
        axis.set_yticks(range(size), [f"{_readable(label)}  ({counts[label]})" for label in axis_labels])
        for row, column in zip(*np.nonzero(share >= 0.005), strict=True):
            colour = "white" if share[row, column] > 0.5 else "black"
            text = f"{100 * share[row, column]:.0f}"
            axis.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
    axes[0].set_ylabel("actual (windows)")
    figure.colorbar(image, ax=axes, label="share of the row (numbers in %)", shrink=0.7)
    _save(figure, path)


def plot_embeddings(
    path: Path,
    windows_NxD: Float[np.ndarray, "n d"],
    labels: Sequence[str],
    descriptions: Mapping[str, Float[np.ndarray, " d"]],
) -> None:
    """Windows and descriptions of labels in the plane of the two principal components of the windows.

    Args:
        path: The PNG to write, replaced where it exists.
        windows_NxD: Embeddings of windows, at least two.
        labels: The label of each window, "" where it has none.
        descriptions: Label → embedding of its description.
    """
    with threadpool_limits(1):  # several threads that wait for each other are slower, and round differently
        plane = PCA(n_components=2, svd_solver="full").fit(windows_NxD)
    points_Nx2 = plane.transform(windows_NxD)
    counts = Counter(labels)
    order = sorted({*labels, *descriptions}, key=lambda label: (label == "", -counts[label], label))
    colours = _colours([label for label in order if label])
    numbers = {label: number for number, label in enumerate(filter(descriptions.__contains__, order), start=1)}
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    axis = figure.subplots()
    for label in order:
        chosen_Nx2 = points_Nx2[[own == label for own in labels]]
        name = " ".join([str(numbers.get(label, "")), _readable(label) or "no label", f"({counts[label]})"]).strip()
        axis.scatter(
            chosen_Nx2[:, 0], chosen_Nx2[:, 1], s=14, color=colours[label], alpha=0.7, linewidths=0, label=name
        )
    first, second = plane.explained_variance_ratio_
    axis.set(
        title="Embeddings of windows, and of the descriptions of their activities",
        xlabel=f"first principal component ({first:.0%} of the variance)",
        ylabel=f"second principal component ({second:.0%})",
    )
    if numbers:
        axis.scatter([], [], marker="*", s=160, color="white", edgecolors="black", label="description, by number")
    axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, title="activity (windows)")
    if numbers:
        stars_Lx2 = plane.transform(np.stack([descriptions[label] for label in numbers]))
        _mark(figure, axis, stars_Lx2, [colours[label] for label in numbers])
    _save(figure, path)


def _mark(figure: Figure, axis: Axes, points_Lx2: Float[np.ndarray, "l 2"], colours: Sequence[Any]) -> None:
    """Stars, and beside them their numbers from 1 on, which keep apart from each other and from other stars."""
    axis.scatter(
        points_Lx2[:, 0],
        points_Lx2[:, 1],
        marker="*",
        s=160,
        color=colours,
        edgecolors="black",
        linewidths=0.8,
        zorder=3,
    )
    figure.draw_without_rendering()  # the scales are known from here on
    pixels_Lx2 = axis.transData.transform(points_Lx2)
    offsets_Lx2 = (free_places(pixels_Lx2) - pixels_Lx2) * 72 / figure.dpi
    for number, (point, offset) in enumerate(zip(points_Lx2, offsets_Lx2, strict=True), start=1):
        axis.annotate(
            str(number),
            point,
            xytext=offset,
            textcoords="offset points",
            ha="center",
            va="center",
            fontweight="bold",
            bbox={"boxstyle": "round,pad=0.1", "facecolor": "white", "alpha": 0.7, "linewidth": 0},
            zorder=4,
        )


def _colours(labels: Sequence[str]) -> dict[str, Any]:
    """A colour for each of the first labels; grey for the others, and for windows without any."""
    tab = colormaps["tab20"]
    order = [*range(0, COLOURS, 2), *range(1, COLOURS, 2)]  # strong colours first, then their pale companions
    colours = {label: tab(number) for label, number in zip(labels, order, strict=False)}
    return dict.fromkeys(["", *labels], "lightgrey") | colours


def _readable(label: str) -> str:
    return label.replace("_", " ")


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as beside:
        figure.savefig(beside, dpi=DOTS_PER_INCH)
