"""The page in a real browser, without a network."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_page import HOSTILE_LABEL, make_page
from scipy.sparse import csr_array

from train.evaluation.page import write_page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # needed by root, as which containers run
    "--disable-gpu",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--virtual-time-budget=20000",
    "--window-size=1200,900",
    "--enable-logging=stderr",
)
CURVES, CONFUSION, MAP, DAYS = 4, 1, 1, 1


@pytest.fixture(scope="module")
def browser() -> str:
    """The command of a browser, or a skip that says what is absent."""
    for name in BROWSERS:
        if found := shutil.which(name):
            return found
    pytest.skip(f"no browser is installed (looked for {', '.join(BROWSERS)})")


def opened(browser: str, path: Path) -> str:
    """The document after its scripts have run; nothing may have been logged."""
    profile = path.parent / "profile"
    command = [browser, *OPTIONS, f"--user-data-dir={profile}", "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    shutil.rmtree(profile, ignore_errors=True)
    assert re.findall(r".*(?:CONSOLE|Uncaught).*", done.stderr) == []
    return done.stdout


def without_policy(path: Path, script: str) -> None:
    """Adds a script to a page, whose own policy allows none but its own."""
    html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", path.read_text())
    path.write_text(html.replace("</body>", f"<script>{script}</script></body>"))


def test_everything_is_drawn_and_nothing_that_users_wrote_runs(browser: str, tmp_path: Path) -> None:
    page = make_page(60, 5)
    path = tmp_path / "report.html"
    write_page(path, page)
    document = opened(browser, path)
    title = re.search(r"<title>(.*?)</title>", document)
    assert title is not None
    assert title[1] == "A run of &lt;i&gt;60&lt;/i&gt; windows"
    assert document.count('class="plot-container') == CURVES + CONFUSION + MAP + DAYS
    assert document.count('class="hm"') == 1
    # Two curves of loss, four of accuracy, temperature and learning rate; on the map the labels, "no label", the stars.
    assert document.count('class="trace scatter') == 8 + 6 + 5
    assert document.count('class="trace bars"') >= 2
    assert len(re.findall(r'class="point"', document)) > 60
    assert "</script><b" not in document.split("<main>")[1].split("<script")[0]


def test_pages_with_nothing_to_draw_open_too(browser: str, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    nothing: dict[str, Any] = {"labels": [""] * 2, "predictions": {}, "starts": [""] * 2, "ends": [""] * 2}
    nothing["matches_NxC"] = csr_array((2, 2), dtype=np.float32)
    write_page(path, make_page(2, metrics=[], report={}, config={}, descriptions={}, **nothing))
    document = opened(browser, path)
    assert 'class="plot-container' not in document
    assert document.count('class="empty"') == 8


NARROW = 390
WIDTHS = """
const widths = {};
for (const plot of document.querySelectorAll(".plot")) {
  widths[plot.dataset.plot] = plot.querySelector(".scroll").scrollWidth;
}
parent.postMessage(JSON.stringify({ page: document.documentElement.scrollWidth, ...widths }), "*");
"""
LISTEN = 'addEventListener("message", (event) => { document.body.dataset.seen = event.data; });'


def test_line_plots_and_the_map_fit_a_narrow_screen(browser: str, tmp_path: Path) -> None:
    inner, outer = tmp_path / "report.html", tmp_path / "frame.html"
    write_page(inner, make_page(60, 5))
    without_policy(inner, WIDTHS)
    # A window of a browser cannot be as narrow as that of a telephone, but a frame in it can.
    frame = f'<iframe src="report.html" style="width: {NARROW}px; height: 800px; border: 0"></iframe>'
    outer.write_text(f"<body><script>{LISTEN}</script>{frame}</body>")
    found = re.search(r'data-seen="(.*?)"', opened(browser, outer))
    assert found is not None
    widths = json.loads(unescape(found[1]))
    assert widths.pop("page") <= NARROW
    assert widths.pop("days") > NARROW  # a ribbon of 24 hours is scrolled
    assert widths.pop("confusion") > 0
    assert set(widths) == {"map", *(f"curve-{number}" for number in range(CURVES))}
    assert max(widths.values()) < NARROW


STEER = """
const press = (choice) => document.querySelector(choice).click();
const first = (name) => document.querySelector(`[data-plot=${name}] .canvas`);
const seen = {};
seen.cells = first("confusion").data[0].text[1][1];
press("[data-plot=confusion] [data-view='1']");
seen.otherCells = first("confusion").data[0].text[1][1];
seen.pressed = document.querySelector("[data-plot=confusion] [aria-pressed=true]").textContent;
seen.across = first("map").layout.xaxis.title.text;
press("[data-plot=map] [data-view='1']");
seen.acrossNeighbourhoods = first("map").layout.xaxis.title.text;
press("[data-legend=map] button");
seen.hidden = first("map").data.filter((trace) => trace.visible === false).map((trace) => trace.legendgroup);
press("[data-legend=map] button");
seen.hiddenAgain = first("map").data.filter((trace) => trace.visible === false).length;
seen.day = document.querySelector("select").value;
press("[data-step='-1']");
seen.dayBefore = document.querySelector("select").value;
for (let i = 0; i < 9; i++) press("[data-step='1']");
seen.lastDay = Number(document.querySelector("select").value) + 1 === document.querySelector("select").length;
const select = document.querySelector("select");
select.value = "0";
select.dispatchEvent(new Event("change"));
seen.firstDayBars = first("days").data.length;
seen.overflow = document.documentElement.scrollWidth > innerWidth;
document.body.dataset.seen = JSON.stringify(seen);
"""


def test_switches_legends_and_days_do_what_they_say(browser: str, tmp_path: Path) -> None:
    page = make_page(300, 5)
    path = tmp_path / "report.html"
    write_page(path, page)
    without_policy(path, STEER)
    document = opened(browser, path)
    found = re.search(r'data-seen="(.*?)"', document)
    assert found is not None
    seen = json.loads(unescape(found[1]))
    assert int(seen.pop("cells")) < int(seen.pop("otherCells")) == 100  # the second way is always right
    assert seen.pop("pressed") == "linear probe, embedding"
    assert seen.pop("across").startswith("first component")
    assert seen.pop("acrossNeighbourhoods") == ""
    assert seen.pop("hidden") == [next(iter(page.styles))] * 2  # its points and its star
    assert seen.pop("hiddenAgain") == 0
    assert int(seen.pop("dayBefore")) == int(seen.pop("day")) - 1
    assert seen.pop("lastDay") is True
    assert seen.pop("firstDayBars") > 1
    assert seen == {"overflow": False}
    assert HOSTILE_LABEL in page.styles
