import numpy as np
import pytest
from report_page import HOSTILE, make_page

from train.evaluation.page import map as maps
from train.evaluation.page.content import Page
from train.evaluation.page.map import CANVAS, numbers_of, plot_map, shown_windows


def labels_of(page: Page) -> tuple[list[str], list[str]]:
    """Labels of the traces of points, and of those of stars."""
    plot = plot_map(page)
    assert plot is not None
    stars = [trace.marker.symbol == "star" for trace in plot.figure.data]
    groups = [trace.legendgroup for trace in plot.figure.data]
    return (
        [group for group, star in zip(groups, stars, strict=True) if not star],
        [group for group, star in zip(groups, stars, strict=True) if star],
    )


def test_every_window_is_a_point_of_its_label_and_every_description_a_star() -> None:
    page = make_page(20, 3)
    points, stars = labels_of(page)
    assert set(points) == set(page.labels)
    assert points == [label for label in page.styles if label in page.labels]
    assert set(stars) == set(page.descriptions)
    plot = plot_map(page)
    assert plot is not None
    assert list(plot.views) == ["Principal components", "Neighbourhoods (t-SNE)"]
    for view in plot.views.values():
        # A star has its number beside it.
        counts = [page.labels.count(label) for label in points] + [2] * len(stars)
        assert [len(trace.x) for trace in view.data] == counts


def test_stars_have_the_numbers_of_the_legend_which_keep_apart() -> None:
    page = make_page(40, 12)
    page.descriptions.update(dict.fromkeys(list(page.descriptions)[:9], page.windows_NxD[0]))  # at one place
    plot = plot_map(page)
    assert plot is not None
    numbers = numbers_of(page)
    assert sorted(numbers.values()) == list(range(1, 13))
    stars = [place for place, trace in enumerate(plot.figure.data) if trace.marker.symbol == "star"]
    for place in stars:
        trace = plot.figure.data[place]
        assert list(trace.text) == ["", f"<b>{numbers[trace.legendgroup]}</b>"]
    for view in plot.views.values():
        points = np.concatenate([np.stack([trace.x, trace.y], axis=1) for trace in view.data])
        pixels = CANVAS / np.ptp(np.concatenate([points[:40], points[40::2]]), axis=0)
        ends = pixels * np.array([(view.data[place].x[1], view.data[place].y[1]) for place in stars])
        distance = np.linalg.norm(ends[:, None] - ends, axis=2) + 1000 * np.eye(len(ends))
        assert distance.min() > 25


def test_the_first_view_is_the_principal_plane() -> None:
    page = make_page(20, 3, labels=["Eat"] * 20, descriptions={})
    plot = plot_map(page)
    assert plot is not None
    [trace] = plot.views["Principal components"].data
    centred_NxD = page.windows_NxD - page.windows_NxD.mean(axis=0)
    variance = np.linalg.eigvalsh(centred_NxD.T @ centred_NxD / 20)[::-1]
    np.testing.assert_allclose([trace.x.var(), trace.y.var()], variance[:2], rtol=1e-4)
    assert f"({variance[0] / variance.sum():.0%} of" in plot.views["Principal components"].layout.xaxis.title.text


def test_hover_tells_label_prediction_time_rooms_and_caption_without_markup() -> None:
    page = make_page(
        4, labels=["Eat"] * 4, descriptions={}, predictions={"zero-shot": ["Cook_Lunch"] * 4, "b": [""] * 4}
    )
    page.rooms[0] = ["Bath & <Room>"]
    plot = plot_map(page)
    assert plot is not None
    lines = plot.figure.data[0].hovertext[0].split("<br>")
    assert lines[:4] == [
        "<b>eat</b>",
        "zero-shot: cook lunch",
        f"Friday 2024-01-05, {page.starts[0][11:16]} to {page.ends[0][11:16]}",
        "Bath &amp; &lt;Room&gt;",
    ]
    assert " ".join(lines[4:]).startswith("<i>&lt;script&gt;document.title = 'hacked'")
    assert HOSTILE.startswith("<script>")


def test_long_captions_are_cut_and_broken_into_lines() -> None:
    page = make_page(3, captions=[["word " * 3000], ["x" * 10_000], []], rooms=[[], [], []])
    plot = plot_map(page)
    assert plot is not None
    for trace in plot.figure.data:
        for text in trace.hovertext:
            assert len(text) < 450
            assert max(map(len, text.split("<br>"))) < 120


def test_large_splits_are_thinned_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maps, "MOST_POINTS", 11)
    assert shown_windows(make_page(101)).tolist() == list(range(0, 101, 10))
    assert shown_windows(make_page(7)).tolist() == list(range(7))


def test_below_three_windows_there_is_no_map_and_of_equal_ones_no_neighbourhoods() -> None:
    assert plot_map(make_page(2)) is None
    plot = plot_map(make_page(6, windows_NxD=np.ones((6, 16), np.float32), descriptions={}))
    assert plot is not None
    assert list(plot.views) == ["Principal components"]
