"""Pictures of attention weights."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from chronos_jax.plotting.figure import NotebookFigure, shortened

COLOURS = colormaps["Blues"].with_extremes(bad="#e4e0d8")
LAYERS_ABREAST = 6
TICKS = 12  # the most on an axis
LONGEST_NAME = 24


def plot_attention(
    attentions: Any,
    *,
    num_output_patches: int,
    variate: int = 0,
    head: int | None = None,
    variates: Sequence[str] | None = None,
) -> Figure:
    """Heat maps of one input's attention weights, layer by layer: over time, and, of several variates, among them.

    A row is a query, a column a key. Group attention is averaged over the positions at which the query counts.
    Positions and variates that never count are grey.

    Args:
        attentions: Time weights (layers, variates, heads, positions, positions) and group weights (layers, positions,
            heads, variates, variates) of one input, such as those of `Chronos2Pipeline.attention_weights`. Positions
            are the context patches, the REG token and the future patches.
        num_output_patches: How many of the positions are future patches.
        variate: The one whose time attention is shown.
        head: The one shown; by default the mean over all.
        variates: Names of the variates.

    Returns:
        A figure, to be shown as the last line of a notebook's cell or saved by `figure.savefig("attention.png")`.

    Raises:
        ValueError: Weights that are not of one input or do not fit together; no such head, variate or future patches.
    """
    time_LxVxAxSxS, group_LxSxAxVxV = _weights(attentions)
    layers, count, heads, positions, _ = time_LxVxAxSxS.shape
    if not 1 <= num_output_patches <= positions - 2:
        raise ValueError(
            f"num_output_patches must lie between 1 and {positions - 2}, for the {positions} positions hold a context "
            f"patch and the REG token, too; found {num_output_patches}"
        )
    for name, index, size in (("variate", variate, count), ("head", head, heads)):
        if index is not None and not 0 <= index < size:
            raise ValueError(f"{name} must lie between 0 and {size - 1}, found {index}")
    if variates is not None and len(variates) != count:
        raise ValueError(f"variates must name {count} variates, found {len(variates)} names")
    given = [f"variate {v}" for v in range(count)] if variates is None else variates
    names = [shortened(name, LONGEST_NAME) for name in given]
    chosen = slice(None) if head is None else slice(head, head + 1)
    whose = f"mean over {heads} heads" if head is None else f"head {head}"

    time_LxSxS = time_LxVxAxSxS[:, variate, chosen].mean(1)
    time_LxSxS = _blanked(time_LxSxS, np.any(time_LxVxAxSxS[:, variate], axis=(0, 1, 2)))
    context = positions - num_output_patches - 1
    labels = [*(f"−{n}" for n in range(context, 0, -1)), "REG", *(f"+{n}" for n in range(1, num_output_patches + 1))]
    ticks = _ticks(positions, [context, 0, positions - 1])

    abreast = min(layers, LAYERS_ABREAST)
    rows = math.ceil(layers / abreast)
    room = max(0.0, 0.08 * max(map(len, names)) - 0.6) if count > 1 else 0.0  # inches, for names as labels
    heights = [1.1 + 2.15 * rows, 1.1 + 2.15 * rows + room][: 1 if count == 1 else 2]
    figure = NotebookFigure(figsize=(1.6 + room + 2.1 * abreast, sum(heights)), layout="constrained")
    over_time, *among = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    over_time.suptitle(f"Time attention of {names[variate]}, {whose}", parse_math=False)
    axes = _maps(over_time, time_LxSxS, abreast, ticks, labels)
    for axis in axes:
        for edge in (context - 0.5, context + 0.5):
            axis.axhline(edge, color="grey", linewidth=0.5)
            axis.axvline(edge, color="grey", linewidth=0.5)
    over_time.supxlabel("key: context patches (−), REG, future patches (+)", fontsize="small")
    over_time.supylabel("query", fontsize="small")
    if among:
        counts_SxV = np.any(group_LxSxAxVxV, axis=(0, 2, 3))
        weights_LxVxV = group_LxSxAxVxV[:, :, chosen].mean(2) * counts_SxV[None, :, :, None]
        group_LxVxV = weights_LxVxV.sum(1) / np.maximum(counts_SxV.sum(0), 1)[None, :, None]
        among[0].suptitle(f"Group attention among variates, mean over positions; {whose}")
        shown = _blanked(group_LxVxV, np.any(counts_SxV, axis=0))
        _maps(among[0], shown, abreast, _ticks(count, [0]), names)
        among[0].supxlabel("key", fontsize="small")
        among[0].supylabel("query", fontsize="small")
    return figure


def _weights(attentions: Any) -> tuple[Float[np.ndarray, "l v a s s"], Float[np.ndarray, "l s a v v"]]:
    """Both arrays, of shapes that fit together."""
    layouts = "(layers, variates, heads, positions, positions) and (layers, positions, heads, variates, variates)"
    try:
        time, group = (np.asarray(weights, np.float32) for weights in attentions)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"attentions must be a pair of arrays, {layouts}, found {type(attentions).__name__}; of a list, pass one "
            "input's"
        ) from error
    if time.ndim == 5 and 0 not in time.shape:
        layers, count, heads, positions, keys = time.shape
        if keys == positions and group.shape == (layers, positions, heads, count, count):
            return time, group
    raise ValueError(f"attentions must have shapes {layouts}, found {time.shape} and {group.shape}")


def _blanked(weights_LxNxN: Float[np.ndarray, "l n n"], counts_N: Bool[np.ndarray, " n"]) -> np.ma.MaskedArray:
    """Without the rows and columns that do not count."""
    hidden_NxN = ~(counts_N[:, None] & counts_N[None, :])
    return np.ma.masked_array(weights_LxNxN, np.broadcast_to(hidden_NxN, weights_LxNxN.shape))


def _ticks(size: int, first: Sequence[int]) -> list[int]:
    """Places for labels that do not touch, the first of these before others at equal distances."""
    apart = max(1, math.ceil(size / TICKS))
    places: list[int] = []
    for place in [*first, *range(0, size, apart)]:
        if all(abs(place - other) >= apart for other in places):
            places.append(place)
    return sorted(places)


def _maps(
    figure: SubFigure, weights_LxNxN: np.ma.MaskedArray, abreast: int, ticks: list[int], labels: Sequence[str]
) -> list[Axes]:
    """One map a layer, all on one scale of colours."""
    layers = len(weights_LxNxN)
    grid = figure.subplots(math.ceil(layers / abreast), abreast, squeeze=False, sharex=True, sharey=True)
    axes = list(grid.flat)
    for axis in axes[layers:]:
        axis.remove()
    largest = float(weights_LxNxN.max())
    for number, (axis, weights_NxN) in enumerate(zip(axes, weights_LxNxN, strict=False), start=1):
        image = axis.imshow(weights_NxN, cmap=COLOURS, vmin=0, vmax=largest, interpolation="nearest")
        axis.set_title(f"layer {number}", fontsize="medium")
        axis.set_xticks(ticks, [labels[place] for place in ticks], rotation=90, fontsize="small", parse_math=False)
        axis.set_yticks(ticks, [labels[place] for place in ticks], fontsize="small", parse_math=False)
        axis.spines[:].set_linewidth(0.5)
    figure.colorbar(image, ax=axes[:layers], shrink=0.8, aspect=30, label="weight")
    return axes[:layers]
