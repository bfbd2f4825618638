"""Pictures of forecasts."""

import math
from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from chronos_jax.plotting.figure import NotebookFigure, shortened
from chronos_jax.plotting.panels import Panel, array_panels, frame_panels

HISTORY, FORECAST, ACTUAL = "#444444", "#0072b2", "#d55e00"  # of Okabe and Ito, told apart by everyone
BANDS = ("#d3e4f0", "#93c1df")  # paler kinds of FORECAST, outermost first
LEAST_HISTORY = 64
LONGEST_TITLE = 48


def plot(
    history: Any,
    forecast: Any,
    *,
    actual: Any = None,
    quantile_levels: Sequence[float] | None = None,
    variates: Sequence[str] | None = None,
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
    max_series: int = 9,
    history_length: int | None = None,
) -> Figure:
    """History, median and two intervals of a forecast: the widest, and the one nearest to half of its probability.

    Args:
        history: What was forecast: an array (time) or (variates, time), NaN where missing; or the long DataFrame,
            pandas or polars, that went into `predict_df`.
        forecast: For an array, one of those that `predict` returns, (variates, levels, horizon), or, for a single
            variate, (levels, horizon); for a DataFrame, what `predict_df` returned, its levels as columns.
        actual: What then happened, in the form of the history: an array of as many steps as the forecast, or a
            DataFrame of which the forecast's time stamps are shown.
        quantile_levels: The levels of an array, such as `pipeline.quantiles`; of a DataFrame all by default.
        variates: Names for the rows of an array.
        id_column: Name of the column with the series' ids.
        timestamp_column: Name of the column with the time stamps.
        max_series: The most panels, one for each series and target; the figure says how many there would be.
        history_length: The most steps of history shown, the last ones; by default three times the horizon, at least 64,
            or fewer before a horizon of a few steps.

    Returns:
        A figure, to be shown as the last line of a notebook's cell or saved by `figure.savefig("forecast.png")`.

    Raises:
        ValueError, TypeError: Shapes, columns, levels or ids that do not fit together; nothing to plot.
    """
    for name, number in (("max_series", max_series), ("history_length", history_length)):
        if number is not None and number < 1:
            raise ValueError(f"{name} must be at least 1, found {number}")
    frames = [hasattr(given, "columns") for given in (history, forecast)]
    if all(frames):
        if variates is not None:
            raise ValueError("variates names the rows of arrays; the targets of DataFrames have their names already")
        levels, count, panels = frame_panels(history, forecast, actual, quantile_levels, id_column, timestamp_column)
    elif any(frames):
        found = " and ".join(type(given).__name__ for given in (history, forecast))
        raise TypeError(f"history and forecast must be two arrays or two DataFrames, found {found}")
    else:
        levels, count, panels = array_panels(history, forecast, actual, quantile_levels, variates)
    shown = list(islice(panels, max_series))
    bands = _bands(levels)
    if not bands and shown[0].median_H is None:
        raise ValueError(f"quantile_levels must hold 0.5, or two levels that add up to 1, to be drawn, found {levels}")

    columns = 1 if len(shown) <= 3 else 2 if len(shown) <= 6 else 3
    rows = math.ceil(len(shown) / columns)
    figure = NotebookFigure(figsize=((8, 11, 14)[columns - 1], 0.9 + 2.4 * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis, panel in zip(axes, shown, strict=False):
        _draw(axis, panel, levels, bands, history_length)
    for axis in axes[len(shown) :]:
        axis.remove()
    if not all(frames):
        for axis in axes[len(shown) - columns : len(shown)]:
            axis.set_xlabel("steps from the end of the history")
    drawn = [zip(*axis.get_legend_handles_labels(), strict=True) for axis in figure.axes]
    handles = {label: handle for pairs in drawn for handle, label in pairs}
    labels = sorted(handles, key=lambda label: label.endswith("interval"))
    places = [handles[label] for label in labels]
    figure.legend(places, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    if count > len(shown):
        text = f"the first {len(shown):,} of {count:,} series"
        figure.supxlabel(text, fontsize="small", color="dimgrey")
    return figure


def _draw(
    axis: Axes, panel: Panel, levels: list[float], bands: list[tuple[int, int]], history_length: int | None
) -> None:
    """History, intervals and median on one axis; these start from the last observation, where there is one."""
    horizon = panel.ahead_H.size
    shown = history_length or max(3 * horizon, min(LEAST_HISTORY, 8 * (horizon + 1)))  # a few steps are not a sliver
    past, history = panel.past_T[-shown:], panel.history_T[-shown:]
    joined = int(np.isfinite(history[-1:]).sum())
    ahead = np.concatenate([past[-joined:][:joined], panel.ahead_H])

    def joint(values_H: Float[np.ndarray, " h"]) -> Float[np.ndarray, " _"]:
        return np.concatenate([history[-1:][:joined], values_H])

    axis.grid(color="#e8e8e8", linewidth=0.8)
    axis.set_axisbelow(True)
    for (low, high), colour in zip(bands, BANDS[len(BANDS) - len(bands) :], strict=True):
        label = f"{100 * (levels[high] - levels[low]):.4g} % interval"
        lower, upper = joint(panel.quantiles_QxH[low]), joint(panel.quantiles_QxH[high])
        if ahead.size > 1:
            axis.fill_between(ahead, lower, upper, color=colour, linewidth=1.0, label=label)
        else:
            axis.vlines(ahead, lower, upper, color=colour, linewidth=8, label=label)
    _line(axis, past, history, HISTORY, "history")
    if panel.median_H is not None:
        _line(axis, ahead, joint(panel.median_H), FORECAST, "median")
    if panel.actual_H is not None:
        _line(axis, panel.ahead_H, panel.actual_H, ACTUAL, "actual")
    axis.set_title(shortened(panel.title, LONGEST_TITLE), loc="left", fontsize="medium", parse_math=False)
    axis.spines[["top", "right"]].set_visible(False)
    axis.margins(x=0.01)
    if isinstance(dates := axis.xaxis.get_major_locator(), AutoDateLocator):
        locator = AutoDateLocator(tz=dates.tz, minticks=3, maxticks=7)  # of 6, no rule fits nearly three days or years
        axis.xaxis.set_major_locator(locator)
        axis.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=dates.tz))


def _line(axis: Axes, x: np.ndarray, y: Float[np.ndarray, " n"], colour: str, label: str) -> None:
    """A line, with dots for values that have no neighbour to draw a line to."""
    axis.plot(x, y, color=colour, linewidth=1.4, label=label)
    known = np.pad(np.isfinite(y), 1)
    isolated = known[1:-1] & ~known[:-2] & ~known[2:]
    axis.plot(x[isolated], y[isolated], ".", color=colour)


def _bands(levels: list[float]) -> list[tuple[int, int]]:
    """Places of the levels of the widest interval, and of the one nearest to half of its probability."""
    pairs = sorted(
        (high - low, levels.index(low), levels.index(high))
        for low in levels
        for high in levels
        if low < high and math.isclose(low + high, 1)
    )
    if not pairs:
        return []
    widest = pairs.pop()
    inner = min(pairs, key=lambda pair: abs(pair[0] - widest[0] / 2), default=None)
    return [pair[1:] for pair in (widest, inner) if pair is not None]
