"""How training went: small figures of what metrics.jsonl holds."""

from collections.abc import Sequence
from typing import Any

from train.evaluation.page.plot import Plot, base_layout, figure_of
from train.evaluation.page.styles import COLOURS

MOST_POINTS = 2000  # of a line; longer ones are thinned
LONG, SHORT = "solid", "dot"

# Title → lines: kind, key, name, colour, dash.
FIGURES: dict[str, list[tuple[str, str, str, str, str]]] = {
    "Loss": [
        ("train", "loss", "training", COLOURS[0], LONG),
        ("validation", "loss", "validation", COLOURS[5], LONG),
    ],
    "Accuracy within a batch": [
        ("train", "accuracy_window_to_text", "training, window → text", COLOURS[0], LONG),
        ("train", "accuracy_text_to_window", "training, text → window", COLOURS[0], SHORT),
        ("validation", "accuracy_window_to_text", "validation, window → text", COLOURS[5], LONG),
        ("validation", "accuracy_text_to_window", "validation, text → window", COLOURS[5], SHORT),
    ],
    "Temperature": [("train", "temperature", "temperature", COLOURS[0], LONG)],
    "Learning rate": [("train", "learning_rate", "learning rate", COLOURS[0], LONG)],
}


def plot_curves(metrics: Sequence[dict[str, Any]]) -> list[Plot]:
    """A figure for each measure that was written at least once; none where nothing was written."""
    import plotly.graph_objects as go

    plots = []
    for number, (title, lines) in enumerate(FIGURES.items()):
        traces = []
        for kind, key, name, colour, dash in lines:
            points = _points(metrics, kind, key)
            if points:
                steps, values = zip(*points, strict=True)
                line = {"color": colour, "dash": dash, "width": 2}
                mode = "lines" if len(points) > 1 else "markers"
                traces.append(
                    go.Scatter(x=steps, y=values, name=name, mode=mode, line=line, marker={"color": colour, "size": 7})
                )
        if traces:
            share = title.startswith("Accuracy")
            layout = base_layout(
                xaxis={"title": {"text": "step"}, "rangemode": "tozero", "fixedrange": True},
                yaxis={
                    "tickformat": ".0%" if share else "",
                    "exponentformat": "power",
                    "rangemode": "tozero",
                    "fixedrange": True,
                    "automargin": True,
                },
                hovermode="x unified",
                showlegend=len(traces) > 1,
                legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
            )
            plots.append(Plot(f"curve-{number}", title, figure_of(traces, **layout), height=280))
    return plots


def _points(metrics: Sequence[dict[str, Any]], kind: str, key: str) -> list[tuple[int, float]]:
    """Steps and values of a measure, thinned where there are very many; values that were not finite are left out."""
    lines = [line for line in metrics if line.get("kind") == kind and isinstance(line.get(key), int | float)]
    return [(line["step"], line[key]) for line in lines[:: -(-len(lines) // MOST_POINTS) or 1]]
