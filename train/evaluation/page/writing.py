"""The file: everything the page shows, in one self-contained piece of HTML."""

import base64
import hashlib
import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from chronos_jax.progress import progress_bar
from chronos_jax.replacing import replacing
from train.evaluation.page.classes import scores_of_classes
from train.evaluation.page.confusion import plot_confusion
from train.evaluation.page.content import Page
from train.evaluation.page.curves import plot_curves
from train.evaluation.page.days import MOST_DAYS, days_of, plot_days
from train.evaluation.page.map import numbers_of, plot_map, shown_windows
from train.evaluation.page.measures import columns_of, groups_of, headlines_of, intervals_of
from train.evaluation.page.plot import Plot, moment
from train.evaluation.page.retrievals import examples
from train.evaluation.page.summary import sentences

PACKAGE = "train.evaluation.page"
SIGNS = "●■◆▲✚✖▼"  # of the symbols in styles.SYMBOLS


def write_page(path: Path, page: Page) -> None:
    """Writes the page; the same content gives the same bytes.

    The file needs nothing else and asks for nothing on a network; captions and labels are text in it, whatever they
    contain. It has about 5 MB and 0.5 kB for each window on the map.

    Args:
        path: The HTML file to write, replaced where it exists.
        page: What it shows. What is empty is said to be, in its place.
    """
    html = _render(page)
    with replacing(path) as beside:
        # Captions may hold halves of surrogate pairs, which no encoding has.
        beside.write_text(html, encoding="utf-8", errors="replace")


def _render(page: Page) -> str:
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    curves = plot_curves(page.metrics)
    with progress_bar() as progress:
        pictures = progress.track((plot_confusion, plot_map, plot_days), description="drawing the report")
        confusion, mapped, ribbons = (draw(page) for draw in pictures)
    figures = {plot.name: plot.content() for plot in (*curves, confusion, mapped, ribbons) if plot is not None}
    right, wrong = examples(page)
    days = days_of(page)
    untimed = [None in (moment(start), moment(end)) for start, end in zip(page.starts, page.ends, strict=True)]
    plotly, script = (_as_html_reads(text) for text in (get_plotlyjs(), _resource("page.js")))
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(_resource("page.html"))
    return template.render(
        page=page,
        styles=page.styles,
        signs=SIGNS,
        sentences=sentences(page),
        columns=columns_of(page.report),
        headlines=headlines_of(page.report),
        groups=groups_of(page.report),
        intervals=intervals_of(page.report),
        curves=curves,
        confusion=confusion,
        map=mapped,
        days=ribbons,
        legends={plot.name: _labels(page, plot) for plot in (mapped, ribbons) if plot is not None},
        numbers=numbers_of(page),
        classes=scores_of_classes(page),
        ways=list(page.predictions),
        right=right,
        wrong=wrong,
        settings=list(_settings(page.config)),
        windows=len(page.windows_NxD),
        shown=len(shown_windows(page)),
        labelled=any(page.labels),
        described=bool(page.descriptions),
        untimed=sum(untimed),
        days_found=len(days),
        days_shown=min(len(days), MOST_DAYS),
        css=Markup(_resource("page.css")),
        # In a script nothing is escaped, and "</script>" would end it: "<" is written as JSON may write it.
        figures=Markup(json.dumps(figures).replace("<", "\\u003c")),
        plotly=Markup(plotly),
        script=Markup(script),
        script_policy=" ".join(f"'sha256-{_digest(text)}'" for text in (plotly, script)),
    )


def _labels(page: Page, plot: Plot) -> list[str]:
    """Labels that stand in a figure, in the order of the page."""
    traces = [trace for figure in (plot.figure, *plot.views.values()) for trace in figure.data]
    present = {trace.legendgroup for trace in traces}
    return [label for label in page.styles if label in present]


def _settings(config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and values of the configuration, one level deep in what is nested, versions of libraries last."""
    run = config.get("run", {})
    plain = {key: value for key, value in config.items() if key != "run"}
    inputs, versions = run.get("inputs", {}), run.get("versions", {})
    for title, content in (("", plain), ("read: ", inputs), ("version of ", versions)):
        for key, value in content.items():
            yield f"{title}{key}", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _resource(name: str) -> str:
    return resources.files(PACKAGE).joinpath(name).read_text(encoding="utf-8")


def _as_html_reads(text: str) -> str:
    """Line ends as a browser sees them, of which the digest is taken."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
