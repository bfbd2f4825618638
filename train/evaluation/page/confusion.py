"""Which activities are taken for which."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from train.evaluation.page.content import Page
from train.evaluation.page.plot import Plot, base_layout, figure_of, plain, shortened

MOST_LABELS = 40  # as many rows as a screen shows; the others are one row together
OTHERS = "all others"
CELL = 27  # pixels
LEAST_SHARE = 0.005  # that is written into a cell
# From nothing to a blue of middling lightness, on which dark and light digits can be read alike.
SCALE = [[0.0, "rgba(42,120,184,0)"], [1.0, "rgba(42,120,184,1)"]]

DIAGONAL = {"color": "rgba(128,128,128,0.6)", "width": 1}


def plot_confusion(page: Page) -> Plot | None:
    """For each way of recognition, the share of a label's windows (rows) that got each label (columns).

    Labels stand in the order of their frequency; windows without a label do not count. None where there is nothing to
    compare.
    """
    import plotly.graph_objects as go

    known = [index for index, label in enumerate(page.labels) if label]
    if not known or not page.predictions:
        return None
    truths = [page.labels[index] for index in known]
    guesses = {way: [predicted[index] for index in known] for way, predicted in page.predictions.items()}
    occurring = set(truths).union(*guesses.values())
    order = [label for label in page.styles if label in occurring]
    shown = order if len(order) <= MOST_LABELS else order[: MOST_LABELS - 1]
    names = [shortened(page.styles[label].name, 28) for label in shown] + [OTHERS] * (len(shown) < len(order))
    number = {label: min(place, len(shown)) for place, label in enumerate(order)}
    rows = [number[label] for label in truths]
    counts = Counter(rows)
    ticks = list(range(len(names)))
    widest = max(map(len, names))
    side = CELL * len(names)
    layout = base_layout(
        xaxis={
            "tickvals": ticks,
            "ticktext": [plain(name) for name in names],
            "tickangle": -90,
            "side": "top",
            "showgrid": False,
            "ticks": "",
            "automargin": True,
            "fixedrange": True,
            "zeroline": False,
            "range": [-0.5, len(names) - 0.5],
        },
        yaxis={
            "tickvals": ticks,
            "ticktext": [f"{plain(name)} ({counts[row]:,})" for row, name in enumerate(names)],
            "showgrid": False,
            "ticks": "",
            "automargin": True,
            "fixedrange": True,
            "zeroline": False,
            "range": [len(names) - 0.5, -0.5],
        },
        shapes=[
            {"type": "rect", "x0": own - 0.5, "x1": own + 0.5, "y0": own - 0.5, "y1": own + 0.5, "line": DIAGONAL}
            for own in ticks
        ],
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
    )
    views = {
        way: figure_of([go.Heatmap(**_cells(rows, [number[label] for label in guess], names))])
        for way, guess in guesses.items()
    }
    heat = go.Heatmap(
        colorscale=SCALE, zmin=0, zmax=1, showscale=False, xgap=1, ygap=1, hoverinfo="text", texttemplate="%{text}"
    )
    return Plot(
        "confusion",
        "Confusion matrix: actual activities in rows, predicted ones in columns",
        figure_of([heat], **layout),
        height=side + 36 + 7 * widest,
        least_width=max(240, side + 76 + 7 * widest),
        views=views,
    )


def _cells(rows: Sequence[int], columns: Sequence[int], names: Sequence[str]) -> dict[str, object]:
    size = len(names)
    count_RxC = np.bincount(size * np.array(rows) + columns, minlength=size * size).reshape(size, size)
    total_Rx1 = count_RxC.sum(axis=1, keepdims=True)
    share_RxC = count_RxC / np.maximum(total_Rx1, 1)
    hover = [
        [
            f"<b>{plain(actual)}</b> taken for <b>{plain(predicted)}</b><br>{count:,} of {total:,} windows"
            f"{f' ({count / total:.1%})' if total else ''}"
            for predicted, count in zip(names, counts, strict=True)
        ]
        for actual, counts, total in zip(names, count_RxC.tolist(), total_Rx1[:, 0].tolist(), strict=True)
    ]
    written = [[f"{100 * share:.0f}" if share >= LEAST_SHARE else "" for share in shares] for shares in share_RxC]
    return {"z": np.round(share_RxC, 4), "text": written, "hovertext": hover}
