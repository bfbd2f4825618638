"""A day as a ribbon: what was done, and what each way of recognition says was done, over 24 hours."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from train.evaluation.page.content import Page
from train.evaluation.page.plot import Plot, base_layout, figure_of, plain, shortened
from train.evaluation.page.timeline import Stretch, timeline

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST_DAYS = 31  # the first ones, as each adds to the size of the page
ACTUAL = "actual"
WRITTEN = 0.75  # hours; shorter bars have no room for a name
LONGEST_NAME = 30  # characters
ROW = 62  # pixels
THICKNESS = 0.75  # of a bar, in rows; by itself Plotly would take it from the rows that a label happens to be in

HATCHING = {"fillmode": "overlay", "fgcolor": "rgba(0,0,0,0.55)", "size": 7, "solidity": 0.25}


@dataclass(frozen=True)
class Bar:
    """A label, from hour to hour."""

    label: str
    start: float
    end: float


def days_of(page: Page) -> dict[str, list[Stretch]]:
    """Day, as in "2024-01-05" → its stretches; windows whose time is unknown are in none."""
    days: defaultdict[str, list[Stretch]] = defaultdict(list)
    for stretch in timeline(page.starts, page.ends):
        days[stretch.day].append(stretch)
    return dict(days)


def plot_days(page: Page) -> Plot | None:
    """A view for each day, the fullest first to be seen; None where no window has a time."""
    days = dict(list(days_of(page).items())[:MOST_DAYS])
    if not days:
        return None
    rows = {ACTUAL: page.labels} | page.predictions
    views = {_title(day, stretches, page): _ribbons(page, stretches, rows) for day, stretches in days.items()}
    covered = [_hours(stretches, page.labels) for stretches in days.values()]
    layout = base_layout(
        barmode="overlay",
        xaxis={
            "range": [0, 24],
            "tickvals": list(range(0, 25, 3)),
            "ticktext": [f"{hour:02d}:00" for hour in range(0, 25, 3)],
            "zeroline": False,
        },
        yaxis={
            "range": [len(rows) - 0.5, -0.5],
            "tickvals": list(range(len(rows))),
            "ticktext": [f"{plain(shortened(row, LONGEST_NAME))} " for row in rows],
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
        },
        uniformtext={"mode": "hide", "minsize": 9},
        margin={"l": 20 + 7 * max(len(row[:LONGEST_NAME]) for row in rows), "r": 22, "t": 6, "b": 30},
    )
    height = ROW * len(rows) + 40
    description = "Actual and predicted activities over a day"
    first = covered.index(max(covered))
    return Plot("days", description, figure_of([], **layout), height, least_width=620, views=views, first=first)


def _title(day: str, stretches: Sequence[Stretch], page: Page) -> str:
    title = f"{date.fromisoformat(day):%A} {day}"
    labelled = [stretch for stretch in stretches if page.labels[stretch.window]]
    hours = sum(stretch.end - stretch.start for stretch in labelled)
    if not hours or not page.predictions:
        return title
    way, predicted = next(iter(page.predictions.items()))
    right = [stretch for stretch in labelled if predicted[stretch.window] == page.labels[stretch.window]]
    share = sum(stretch.end - stretch.start for stretch in right) / hours
    return f"{title}: {way} right for {share:.0%} of {hours:.1f} h"


def _hours(stretches: Sequence[Stretch], labels: Sequence[str]) -> float:
    return sum((stretch.end - stretch.start for stretch in stretches if labels[stretch.window]), start=0.0)


def _ribbons(page: Page, stretches: Sequence[Stretch], rows: dict[str, list[str]]) -> "go.Figure":
    """One trace for each label, with its bars in all rows."""
    import plotly.graph_objects as go

    bars: defaultdict[str, list[tuple[int, Bar]]] = defaultdict(list)
    for row, labels in enumerate(rows.values()):
        for bar in _bars(stretches, labels):
            bars[bar.label].append((row, bar))
    traces = []
    for label in filter(bars.__contains__, page.styles):
        style, name = page.styles[label], page.styles[label].name
        own = [bar for _, bar in bars[label]]
        hover = [f"<b>{plain(name)}</b><br>{_clock(bar.start)} to {_clock(bar.end)}" for bar in own]
        fits = [label != "" and bar.end - bar.start >= WRITTEN for bar in own]
        pattern = {"shape": style.hatch, **HATCHING}
        traces.append(
            go.Bar(
                orientation="h",
                y=[row for row, _ in bars[label]],
                base=[round(bar.start, 4) for bar in own],
                x=[round(bar.end - bar.start, 4) for bar in own],
                width=THICKNESS,
                legendgroup=label,
                marker={"color": style.colour, "line": {"width": 0}, "pattern": pattern},
                text=[plain(shortened(name, LONGEST_NAME)) if fit else "" for fit in fits],
                textposition="inside",
                insidetextanchor="middle",
                textangle=0,
                hovertext=hover,
                hoverinfo="text",
            )
        )
    return figure_of(traces)


def _bars(stretches: Sequence[Stretch], labels: Sequence[str]) -> list[Bar]:
    """Stretches that touch and have the same label are one bar."""
    bars: list[Bar] = []
    for stretch in stretches:
        label = labels[stretch.window]
        if bars and bars[-1].label == label and bars[-1].end == stretch.start:
            bars[-1] = Bar(label, bars[-1].start, stretch.end)
        else:
            bars.append(Bar(label, stretch.start, stretch.end))
    return bars


def _clock(hours: float) -> str:
    minutes = round(hours * 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
