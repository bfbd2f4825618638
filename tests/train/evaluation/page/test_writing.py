import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_page import HOSTILE_LABEL, make_page
from scipy.sparse import csr_array

from train.evaluation.page import write_page

HEADINGS = [
    "Main measures",
    "Training",
    "What is taken for what",
    "Map of the embeddings",
    "A day",
    "Activity by activity",
    "Captions found for a window",
    "All measures",
    "Configuration and versions",
]


def written(folder: Path, windows: int = 12, **changes: Any) -> str:
    """The page as HTML, without Plotly itself."""
    path = folder / "report.html"
    write_page(path, make_page(windows, **changes))
    assert [own.name for own in folder.iterdir()] == ["report.html"]
    head, figures, _, script = re.split(r"<script(?: type=\"application/json\" id=\"figures\")?>", path.read_text())
    return head + figures + script


def test_the_page_has_everything_in_one_file(tmp_path: Path) -> None:
    html = written(tmp_path)
    assert re.findall(r"<h2>(.*?)</h2>", html) == HEADINGS
    assert 'class="empty"' not in html
    assert (tmp_path / "report.html").stat().st_size < 6_000_000
    first, rest = html.split("<h2>Training</h2>")
    assert first.count("<tr><td>") == 3  # of the report's, with retrieval, recognition and clusters
    assert "mean reciprocal rank" not in first
    assert "mean reciprocal rank" in rest.split("<details>")[1]
    assert "1.2.3" in html  # a version


def test_the_page_asks_for_nothing(tmp_path: Path) -> None:
    html = written(tmp_path)
    assert re.findall(r"<link|<img|<iframe|@import|url\(|\bsrc=|\bhref=", html.replace("&lt;img src=", "")) == []
    assert "default-src 'none'" in html


def test_the_same_page_has_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "first.html", tmp_path / "second.html"
    write_page(first, make_page(40))
    write_page(second, make_page(40))
    assert first.read_bytes() == second.read_bytes()


def test_what_users_wrote_is_text(tmp_path: Path) -> None:
    html = written(tmp_path)
    scripts = re.findall(r"<script\b[^>]*>", (tmp_path / "report.html").read_text().split("<script>")[0])
    assert scripts == ['<script type="application/json" id="figures">']
    assert "<img" not in html
    assert HOSTILE_LABEL not in html
    assert "</script><b" not in html  # in what the pictures are drawn from
    assert "<i>12</i>" not in html  # in the title
    assert "🛁" in html


def test_half_a_surrogate_pair_does_not_stop_the_page(tmp_path: Path) -> None:
    assert "broken ?" in written(tmp_path, captions=[["broken \ud83d"]] * 12)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labels": [""] * 12}, ["no validation window has a label"]),
        ({"predictions": {}}, ["No matrix: nothing was predicted", "No table: nothing was predicted"]),
        ({"starts": [""] * 12, "ends": [""] * 12}, ["the times of the windows are unknown", "time unknown"]),
        ({"starts": ["", *["2024-01-05T08:00:00"] * 11]}, ["without a time, and so not shown: 1 windows"]),
        ({"descriptions": {}}, ["descriptions of activities were not embedded"]),
        ({"matches_NxC": csr_array((12, 12), dtype=np.float32)}, ["no validation window has a caption"]),
        ({"metrics": []}, ["has written no numbers"]),
        ({"report": {}}, ["The report has no measures"]),
        ({"config": {}}, ["The configuration is unknown"]),
        ({"windows_NxD": np.ones((12, 16), np.float32), "descriptions": {}}, ["too few different windows"]),
        ({"labels": ["Eat"] * 12, "predictions": {"one": ["Eat"] * 12}}, ["eat"]),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_what_is_absent_is_said_in_its_place(tmp_path: Path, changes: dict[str, Any], said: list[str]) -> None:
    html = " ".join(written(tmp_path, **changes).split())
    for words in said:
        assert words in html
    assert re.findall(r"<h2>(.*?)</h2>", html) == HEADINGS


@pytest.mark.parametrize("windows", [1, 2, 3, 4])
def test_few_windows_have_a_page(tmp_path: Path, windows: int) -> None:
    html = written(tmp_path, windows)
    assert ("No map: it needs at least three" in html) == (windows < 3)


def test_parts_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match=r"3 windows were embedded, but there are {'starts': 1}"):
        make_page(3, starts=[""])
    with pytest.raises(ValueError, match=r"matches of shape \(3, 2\)"):
        make_page(3, matches_NxC=csr_array((3, 2), dtype=np.float32))
