from report_page import make_page

from train.evaluation.page.content import Page
from train.evaluation.page.days import MOST_DAYS, THICKNESS, plot_days
from train.evaluation.ways import WAYS

STARTS = ["2024-01-05T22:00:00", "2024-01-05T23:00:00", "2024-01-06T02:00:00", "2024-01-06T03:00:00"]
ENDS = ["2024-01-05T23:00:00", "2024-01-06T01:00:00", "2024-01-06T03:00:00", "2024-01-06T04:00:00"]


def page_of(labels: list[str], predicted: list[str], starts: list[str] = STARTS, ends: list[str] = ENDS) -> Page:
    return make_page(
        len(labels), labels=labels, predictions={"zero-shot": predicted}, descriptions={}, starts=starts, ends=ends
    )


def test_each_day_has_a_view_with_bars_of_what_was_done_and_predicted() -> None:
    plot = plot_days(page_of(["Eat", "Sleep", "Sleep", ""], ["Eat", "Eat", "Sleep", "Sleep"]))
    assert plot is not None
    assert list(plot.views) == [
        "Friday 2024-01-05: zero-shot right for 50% of 2.0 h",
        "Saturday 2024-01-06: zero-shot right for 50% of 2.0 h",
    ]
    assert plot.first == 0
    assert list(plot.figure.layout.yaxis.ticktext) == ["actual ", "zero-shot "]
    bars = {
        (trace.legendgroup, row, start, start + length)
        for trace in plot.views["Saturday 2024-01-06: zero-shot right for 50% of 2.0 h"].data
        for row, start, length in zip(trace.y, trace.base, trace.x, strict=True)
    }
    # Windows that touch and have one label are one bar; the last window has no label, but a prediction.
    assert bars == {
        ("Sleep", 0, 0.0, 1.0),
        ("Sleep", 0, 2.0, 3.0),
        ("", 0, 3.0, 4.0),
        ("Eat", 1, 0.0, 1.0),
        ("Sleep", 1, 2.0, 4.0),
    }


def test_every_bar_is_as_thick_as_any_other() -> None:
    plot = plot_days(make_page(60, 5))
    assert plot is not None
    traces = [trace for view in plot.views.values() for trace in view.data]
    assert {trace.width for trace in traces} == {THICKNESS}
    assert 0 < THICKNESS < 1


def test_names_of_rows_are_whole() -> None:
    plot = plot_days(make_page(5, predictions={way: ["Eat"] * 5 for way in WAYS.values()}))
    assert plot is not None
    assert [tick.strip() for tick in plot.figure.layout.yaxis.ticktext] == ["actual", *WAYS.values()]


def test_bars_say_what_and_when_in_the_colour_of_the_map() -> None:
    page = page_of(["Eat", "Sleep", "Sleep", ""], ["Eat", "Eat", "Sleep", "Sleep"])
    plot = plot_days(page)
    assert plot is not None
    eat = next(trace for trace in next(iter(plot.views.values())).data if trace.legendgroup == "Eat")
    assert list(eat.hovertext) == ["<b>eat</b><br>22:00 to 23:00", "<b>eat</b><br>22:00 to 24:00"]
    assert eat.marker.color == page.styles["Eat"].colour
    assert list(eat.text) == ["eat", "eat"]


def test_the_day_with_most_labels_is_seen_first() -> None:
    plot = plot_days(page_of(["", "Sleep", "Sleep", "Eat"], ["Eat"] * 4))
    assert plot is not None
    assert plot.first == 1


def test_some_windows_may_lack_a_time_and_all_may() -> None:
    plot = plot_days(page_of(["Eat", "Eat"], ["Eat", "Eat"], ["", STARTS[0]], ["", ENDS[0]]))
    assert plot is not None
    assert list(plot.views) == ["Friday 2024-01-05: zero-shot right for 100% of 1.0 h"]
    assert plot_days(page_of(["Eat", "Eat"], ["Eat", "Eat"], ["", ""], ["", ""])) is None


def test_without_labels_a_day_has_its_name_alone() -> None:
    plot = plot_days(page_of([""] * 4, ["Eat"] * 4))
    assert plot is not None
    assert list(plot.views) == ["Friday 2024-01-05", "Saturday 2024-01-06"]


def test_a_long_time_is_cut_to_its_first_days() -> None:
    starts = [f"2024-{month:02d}-{day:02d}T08:00:00" for month in (1, 2) for day in range(1, 29)]
    ends = [start.replace("T08", "T09") for start in starts]
    plot = plot_days(page_of(["Eat"] * 56, ["Eat"] * 56, starts, ends))
    assert plot is not None
    assert len(plot.views) == MOST_DAYS
    assert next(iter(plot.views)).startswith("Monday 2024-01-01")
