"""A map of the embeddings: windows as points, descriptions of activities as stars with the numbers of the legend."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Float32, Int

from train.evaluation.free_places import free_places
from train.evaluation.page.content import Page
from train.evaluation.page.plot import INK, Plot, base_layout, figure_of, plain, span, wrapped
from train.evaluation.page.projections import neighbourhoods, principal_plane

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST_POINTS = 3000  # more are slow, to place and to look at
LEAST_WINDOWS = 3
CANVAS = np.array([800.0, 560.0])  # pixels, about those of a small screen: where numbers of stars keep apart
AXIS: dict[str, Any] = {"zeroline": False, "showticklabels": False}


def shown_windows(page: Page) -> Int[np.ndarray, " s"]:
    """The windows on the map: all, or as many as it holds, evenly spread over the split."""
    windows = len(page.windows_NxD)
    return np.unique(np.linspace(0, windows - 1, min(windows, MOST_POINTS)).round().astype(int))


def numbers_of(page: Page) -> dict[str, int]:
    """The number of each label that has a description, in the order of the page."""
    return {label: number for number, label in enumerate(filter(page.descriptions.__contains__, page.styles), start=1)}


def plot_map(page: Page) -> Plot | None:
    """The map, in two views; None where there are too few windows for one."""
    if len(page.windows_NxD) < LEAST_WINDOWS:
        return None
    shown_S = shown_windows(page)
    numbers = numbers_of(page)
    stars_LxD = np.array([page.descriptions[label] for label in numbers]).reshape(-1, page.windows_NxD.shape[1])
    own = np.array([page.labels[index] for index in shown_S])
    groups = {label: np.flatnonzero(own == label) for label in page.styles}
    groups = {label: places_G for label, places_G in groups.items() if len(places_G)}

    windows_Sx2, stars_Lx2, (first, second) = principal_plane(page.windows_NxD[shown_S], stars_LxD)
    titles = (f"first component ({first:.0%} of the variance)", f"second component ({second:.0%})")
    views = {"Principal components": _view(windows_Sx2, stars_Lx2, groups.values(), *titles)}
    together = neighbourhoods(np.concatenate([page.windows_NxD[shown_S], stars_LxD]))
    if together is not None:
        windows_Sx2, stars_Lx2 = np.split(together, [len(shown_S)])
        views["Neighbourhoods (t-SNE)"] = _view(windows_Sx2, stars_Lx2, groups.values(), "", "")
    traces = [_points(page, label, shown_S[places_G]) for label, places_G in groups.items()]
    traces += [_star(page, label, number) for label, number in numbers.items()]
    layout = base_layout(xaxis=AXIS, yaxis=AXIS, hovermode="closest", margin={"l": 30, "r": 8, "t": 8, "b": 34})
    return Plot("map", "Embeddings in a plane, by activity", figure_of(traces, **layout), height=620, views=views)


def _view(
    windows_Sx2: Float32[np.ndarray, "s 2"],
    stars_Lx2: Float32[np.ndarray, "l 2"],
    groups: Iterable[Int[np.ndarray, " g"]],
    across: str,
    up: str,
) -> "go.Figure":
    import plotly.graph_objects as go

    marked_Lx2x2 = np.stack([stars_Lx2, _beside(stars_Lx2, windows_Sx2)], axis=1)
    places = [*(windows_Sx2[places_G] for places_G in groups), *marked_Lx2x2]
    traces = [go.Scatter(x=place_Gx2[:, 0], y=place_Gx2[:, 1]) for place_Gx2 in places]
    return figure_of(traces, xaxis={"title": {"text": across}}, yaxis={"title": {"text": up}})


def _beside(stars_Lx2: Float32[np.ndarray, "l 2"], windows_Sx2: Float32[np.ndarray, "s 2"]) -> Float[np.ndarray, "l 2"]:
    """Where the numbers of stars are readable."""
    everything = np.concatenate([stars_Lx2, windows_Sx2])
    pixels = CANVAS / np.maximum(np.ptp(everything, axis=0), np.finfo(np.float32).tiny)
    return free_places(stars_Lx2 * pixels) / pixels


def _points(page: Page, label: str, windows_G: Int[np.ndarray, " g"]) -> "go.Scatter":
    import plotly.graph_objects as go

    style = page.styles[label]
    outline = {"width": 0.5, "color": "rgba(70,70,70,0.8)"}
    marker = {"color": style.colour, "symbol": style.symbol, "size": 8, "opacity": 0.85, "line": outline}
    hover = [_hover(page, index) for index in windows_G.tolist()]
    return go.Scatter(mode="markers", legendgroup=label, marker=marker, hovertext=hover, hoverinfo="text")


def _star(page: Page, label: str, number: int) -> "go.Scatter":
    """A star, and its number at the end of a thin line."""
    import plotly.graph_objects as go

    style = page.styles[label]
    return go.Scatter(
        mode="lines+markers+text",
        legendgroup=label,
        marker={"color": style.colour, "symbol": "star", "size": [17, 0], "line": {"width": 1.5, "color": "#000"}},
        line={"width": 1, "color": INK},
        text=["", f"<b>{number}</b>"],
        textposition="middle center",
        hovertext=[f"{number}: description of <b>{plain(style.name)}</b>"] * 2,
        hoverinfo="text",
    )


def _hover(page: Page, index: int) -> str:
    lines = [f"<b>{plain(page.styles[page.labels[index]].name)}</b>"]
    lines += [f"{plain(way)}: {plain(page.styles[own[index]].name)}" for way, own in list(page.predictions.items())[:1]]
    lines.append(span(page.starts[index], page.ends[index]))
    if page.rooms[index]:
        lines.append(wrapped(", ".join(page.rooms[index])))
    if page.captions[index]:
        lines.append(f"<i>{wrapped(page.captions[index][0])}</i>")
    return "<br>".join(lines)
