"""A figure of the page: what Plotly draws, and the views of it that a reader switches between."""

import json
import textwrap
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import plotly.graph_objects as go

INK = "#6b7280"  # replaced by the page's own colours (page.css), which follow the reader's scheme


@dataclass(frozen=True)
class Plot:
    """A figure with a place on the page.

    Attributes:
        name: Identity of its place.
        description: What it shows, for those who cannot see it.
        figure: What is drawn.
        height: In pixels.
        least_width: In pixels; a narrower page scrolls it.
        views: Title of a view → what it changes in the traces (in order) and in the layout. The first view shown is
            number `first`; without views the figure is shown as it is.
        first: See `views`.
    """

    name: str
    description: str
    figure: "go.Figure"
    height: int
    least_width: int = 240
    views: "dict[str, go.Figure]" = field(default_factory=dict)
    first: int = 0

    def content(self) -> dict[str, Any]:
        """What page.js draws, as JSON has it."""
        views = [_encoded(view) for view in self.views.values()]
        return _encoded(self.figure) | {"views": views, "first": self.first}


def figure_of(traces: list[Any], **layout: Any) -> "go.Figure":
    """A figure without Plotly's look; `layout` as plotly.graph_objects.Layout."""
    import plotly.graph_objects as go

    return go.Figure(traces, go.Layout(template="none", **layout))


def base_layout(**layout: Any) -> dict[str, Any]:
    """What all figures have in common, and `layout`."""
    common = {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": INK},
        "margin": {"l": 56, "r": 12, "t": 12, "b": 44},
        "showlegend": False,
        "hoverlabel": {"align": "left", "font": {"size": 13}},
    }
    return common | layout


def shortened(text: str, limit: int = 200) -> str:
    """A text on one line, cut where it is longer than so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def plain(text: str) -> str:
    """A text in which Plotly finds no markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def wrapped(text: str, width: int = 56) -> str:
    """The beginning of a text, on lines that Plotly breaks, without markup."""
    return "<br>".join(plain(line) for line in textwrap.wrap(shortened(text), width))


def moment(text: str) -> datetime | None:
    """A time as windows have it; None where it is unknown."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        return None


def span(start: str, end: str) -> str:
    """From when to when, in words: "Friday 2024-01-05, 00:16 to 01:08"; "time unknown" where it is."""
    begins, ends = moment(start), moment(end)
    if begins is None:
        return "time unknown"
    text = f"{begins:%A %Y-%m-%d, %H:%M}"
    if ends is None:
        return text
    return f"{text} to {ends:%H:%M}" if ends.date() == begins.date() else f"{text} to {ends:%A %Y-%m-%d, %H:%M}"


def _encoded(figure: "go.Figure") -> dict[str, Any]:
    content = json.loads(figure.to_json(validate=False))
    del content["layout"]["template"]
    return content
