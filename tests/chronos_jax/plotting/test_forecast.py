import numpy as np
import pandas as pd
import polars as pl
import pytest
from matplotlib.colors import to_hex
from reference import walks

from chronos_jax.plotting import plot
from chronos_jax.plotting.forecast import ACTUAL, FORECAST, HISTORY

LEVELS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
STEPS = 24


def forecast_of(history_VxT, levels=LEVELS, steps=STEPS):
    """(V, Q, H): constants that grow apart."""
    spread_QxH = np.subtract(levels, 0.5)[:, None] * np.arange(1, steps + 1)[None, :]
    return np.nan_to_num(history_VxT[:, -1:, None]) + spread_QxH[None]


def lines(axis):
    """Name → (x, y) of the lines, not the dots."""
    kinds = {HISTORY: "history", FORECAST: "median", ACTUAL: "actual"}
    return {kinds[line.get_color()]: line.get_data() for line in axis.lines if line.get_linestyle() != "None"}


def bands(axis):
    """Label → vertices of each interval."""
    return {band.get_label(): band.get_paths()[0].vertices for band in axis.collections}


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def frames(series, *, targets=("target",), steps=STEPS, **calendar):
    """A long history, and a forecast as `predict_df` gives it."""
    times = pd.date_range("2024-03-28", periods=100 + steps, freq="h", **calendar)
    past, ahead = [], []
    for number, name in enumerate(series):
        values = walks(len(targets), 100, seed=number)
        quantiles = forecast_of(values, steps=steps)
        past.append(
            pd.DataFrame({"item_id": name, "timestamp": times[:100], **dict(zip(targets, values, strict=True))})
        )
        for target, quantiles_QxH in zip(targets, quantiles, strict=True):
            columns = {str(level): row for level, row in zip(LEVELS, quantiles_QxH, strict=True)}
            ahead.append(
                pd.DataFrame(
                    {
                        "item_id": name,
                        "timestamp": times[100:],
                        "target_name": target,
                        "predictions": quantiles_QxH[4],
                        **columns,
                    }
                )
            )
    return pd.concat(past, ignore_index=True), pd.concat(ahead, ignore_index=True)


def test_arrays_have_a_panel_for_each_variate():
    history = walks(2, 100)
    forecast = forecast_of(history)
    figure = plot(history, forecast, quantile_levels=LEVELS, variates=["a", "b"])
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["a", "b"]
    assert legend(figure) == ["history", "median", "80 % interval", "40 % interval"]
    for v, axis in enumerate(figure.axes):
        x, y = lines(axis)["history"]
        np.testing.assert_array_equal(x, np.arange(-71, 1))  # three times the horizon
        np.testing.assert_array_equal(y, history[v, -72:])
        x, y = lines(axis)["median"]
        np.testing.assert_array_equal(x, np.arange(25))  # from the last observation on
        np.testing.assert_array_equal(y, [history[v, -1], *forecast[v, 4]])
        for label, rows in {"80 % interval": (0, 8), "40 % interval": (2, 6)}.items():
            expected = forecast[v, rows]
            np.testing.assert_allclose(
                [bands(axis)[label][:, 1].min(), bands(axis)[label][:, 1].max()], [expected.min(), expected.max()]
            )


def test_a_single_series_needs_no_axis_of_variates():
    history = walks(1, 30)
    quantiles = forecast_of(history, steps=8)
    (axis,) = plot(history[0], quantiles[0], quantile_levels=LEVELS).axes
    (expected,) = plot(history, quantiles, quantile_levels=LEVELS).axes
    for name, (x, y) in lines(axis).items():
        np.testing.assert_array_equal((x, y), lines(expected)[name])
    assert lines(axis)["history"][0].size == 30
    (shorter,) = plot(history, quantiles, quantile_levels=LEVELS, history_length=7).axes
    np.testing.assert_array_equal(lines(shorter)["history"][1], history[0, -7:])


@pytest.mark.parametrize(
    ("levels", "labels"),
    [
        ([0.5], ["history", "median"]),
        ([0.05, 0.95], ["history", "90 % interval"]),
        ([0.9, 0.5, 0.1], ["history", "median", "80 % interval"]),
        ([0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99], ["history", "median", "98 % interval", "50 % interval"]),
        ([0.1, 0.5, 0.8], ["history", "median"]),
    ],
)
def test_intervals_are_pairs_of_levels_that_mirror_each_other(levels, labels):
    history = walks(1, 30)
    assert legend(plot(history, forecast_of(history, levels), quantile_levels=levels)) == labels


def test_values_between_missing_ones_are_dots_and_a_missing_end_is_not_joined():
    history = walks(1, 30)
    history[0, 10:13] = np.nan
    history[0, 11] = 3
    history[0, -2:] = np.nan
    (axis,) = plot(history, forecast_of(history), quantile_levels=LEVELS, actual=walks(1, STEPS)).axes
    dots = [line.get_xydata().tolist() for line in axis.lines if line.get_linestyle() == "None"]
    assert dots == [[[-18, 3]], [], []]
    np.testing.assert_array_equal(lines(axis)["median"][0], np.arange(1, 25))
    np.testing.assert_array_equal(lines(axis)["actual"], [np.arange(1, 25), walks(1, STEPS)[0]])


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.from_pandas])
def test_frames_have_a_panel_for_each_series_and_target(kind):
    history, forecast = frames(["shop 2", "shop 1"], targets=("sales", "visits"))
    before = history.copy(), forecast.copy()
    shuffled = history.sample(frac=1, random_state=0)
    then = forecast[["item_id", "timestamp"]].drop_duplicates().assign(sales=1.0, visits=2.0).iloc[5:]
    figure = plot(kind(shuffled), kind(forecast), actual=kind(then))
    figure.draw_without_rendering()
    pairs = [(name, target) for name in ("shop 2", "shop 1") for target in ("sales", "visits")]
    assert [axis.get_title(loc="left") for axis in figure.axes] == [f"{name}, {target}" for name, target in pairs]
    assert legend(figure) == ["history", "median", "actual", "80 % interval", "40 % interval"]
    for axis, (name, target) in zip(figure.axes, pairs, strict=True):
        past = history[history.item_id == name].iloc[-72:]
        ahead = forecast[(forecast.item_id == name) & (forecast.target_name == target)]
        x, y = lines(axis)["history"]
        np.testing.assert_array_equal(x, past.timestamp.to_numpy())
        np.testing.assert_array_equal(y, past[target])
        x, y = lines(axis)["median"]
        np.testing.assert_array_equal(x[1:], ahead.timestamp.to_numpy())
        np.testing.assert_array_equal(y[1:], ahead.predictions)
        expected = np.full(STEPS, 1.0 if target == "sales" else 2.0)
        expected[:5] = np.nan if name == "shop 2" else expected[0]
        np.testing.assert_array_equal(lines(axis)["actual"][1], expected)
    for frame, copy in zip((history, forecast), before, strict=True):
        pd.testing.assert_frame_equal(frame, copy)


def test_other_column_names_integer_ids_and_chosen_levels():
    history, forecast = (frame.rename(columns={"item_id": "id", "timestamp": "time"}) for frame in frames([7, 3]))
    history["time"] = history["time"].astype(str)
    figure = plot(history, forecast, id_column="id", timestamp_column="time", quantile_levels=[0.2, 0.8])
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["7", "3"]
    assert legend(figure) == ["history", "median", "60 % interval"]


def test_time_stamps_with_a_zone_are_labelled_in_it():
    history, forecast = frames(["a"], tz="Asia/Tokyo", steps=2)
    figure = plot(history, forecast, history_length=12)
    figure.draw_without_rendering()
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert "Apr-01" in labels  # a midnight in Tokyo; in UTC there is none among these hours


@pytest.mark.parametrize("freq", ["100s", "41min", "37min", "10D", "h", "30D", "MS"])
def test_time_stamps_of_any_span_have_labels(freq):
    """And no warning of a locator at a loss."""
    history, forecast = frames(["a"], steps=5)
    times = pd.date_range("2024-01-01", periods=105, freq=freq)
    history["timestamp"], forecast["timestamp"] = times[:100], times[100:]
    figure = plot(history, forecast, history_length=100)
    figure.draw_without_rendering()
    assert 2 <= len(figure.axes[0].get_xticks()) <= 7


def test_a_figure_says_how_many_series_it_leaves_out():
    history, forecast = frames([f"series {number}" for number in range(12)], steps=2)
    figure = plot(history, forecast)
    assert len(figure.axes) == 9
    assert figure.get_supxlabel() == "the first 9 of 12 series"
    every = plot(history, forecast, max_series=12)
    assert len(every.axes) == 12
    assert every.get_supxlabel() == ""


@pytest.mark.parametrize(("steps", "shown"), [(1, 16), (3, 32), (7, 64), (24, 72)])
def test_a_horizon_of_few_steps_takes_its_part_of_the_width(steps, shown):
    history = walks(1, 100)
    (axis,) = plot(history, forecast_of(history, steps=steps), quantile_levels=LEVELS).axes
    assert lines(axis)["history"][0].size == shown


def test_a_single_step_after_a_missing_end_is_a_bar():
    history = walks(1, 30)
    history[0, -1] = np.nan
    forecast = forecast_of(history, steps=1)
    figure = plot(history, forecast, quantile_levels=LEVELS)
    assert legend(figure) == ["history", "median", "80 % interval", "40 % interval"]
    for label, rows in {"80 % interval": (0, 8), "40 % interval": (2, 6)}.items():
        np.testing.assert_allclose(bands(figure.axes[0])[label], [[1, forecast[0, row, 0]] for row in rows])
    assert all(band.get_linewidth() > 4 for band in figure.axes[0].collections)


@pytest.mark.parametrize("kind", ["arrays", "frames"])
def test_a_history_is_rounded_as_its_forecast_is(kind):
    """So that a level of which float32 knows only multiples of 64 does not jump where the forecast begins."""
    history, forecast = frames(["a"], steps=8)
    history["target"] = 1e9 + np.arange(100) % 31
    columns = {name: np.float32(1e9) for name in forecast.columns[3:]}
    forecast = forecast.assign(**columns).astype(dict.fromkeys(columns, np.float32))
    if kind == "frames":
        (axis,) = plot(history, forecast).axes
    else:
        quantiles_QxH = forecast[[str(level) for level in LEVELS]].to_numpy().T
        (axis,) = plot(history["target"].to_numpy(), quantiles_QxH, quantile_levels=LEVELS).axes
    assert {*lines(axis)["history"][1].tolist(), *lines(axis)["median"][1].tolist()} == {1e9}


def test_names_are_shown_as_they_are():
    history = walks(1, 30)
    figure = plot(history, forecast_of(history), quantile_levels=LEVELS, variates=["$x^$ " + "long " * 20])
    figure.draw_without_rendering()
    title = figure.axes[0].get_title(loc="left")
    assert len(title) == 48
    assert title.startswith("$x^$ long")
    assert title.endswith("long ")
    assert "…" in title


def test_a_notebook_gets_a_picture_and_matplotlib_keeps_its_state():
    import matplotlib

    before = dict(matplotlib.rcParams)
    history = walks(1, 30)
    figure = plot(history, forecast_of(history), quantile_levels=LEVELS)
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert dict(matplotlib.rcParams) == before
    assert to_hex(figure.get_facecolor()) == "#ffffff"


HISTORY_2x30 = walks(2, 30)
QUANTILES = forecast_of(HISTORY_2x30)


@pytest.mark.parametrize(
    ("history", "forecast", "options", "message"),
    [
        (
            HISTORY_2x30[None],
            QUANTILES,
            {},
            r"history must have shape \(variates, time\).*found \(1, 2, 30\); of a list",
        ),
        (
            HISTORY_2x30,
            [QUANTILES],
            {},
            r"forecast must have shape \(variates, levels, horizon\).*; of a list of inputs",
        ),
        (HISTORY_2x30[:, :0], QUANTILES, {}, r"none of them 0, found \(2, 0\)"),
        (HISTORY_2x30, QUANTILES[:1], {}, "history has 2 variates and forecast 1"),
        (HISTORY_2x30, QUANTILES, {"quantile_levels": None}, "quantile_levels must be given with arrays.*pipeline"),
        (HISTORY_2x30, QUANTILES, {"quantile_levels": LEVELS[1:]}, r"forecast's 9 levels .* found 8$"),
        (HISTORY_2x30, QUANTILES.swapaxes(1, 2), {}, r"24 levels .* found 9; with levels last, pass .*swapaxes"),
        (
            HISTORY_2x30,
            QUANTILES[:, :2],
            {"quantile_levels": [0.1, 10.0]},
            r"between 0 and 1, each once, found \[0.1, 10",
        ),
        (HISTORY_2x30, QUANTILES[:, :2], {"quantile_levels": [0.1, 0.2]}, r"must hold 0.5, or two levels that add up"),
        (HISTORY_2x30, QUANTILES, {"variates": ["a"]}, "variates must name the 2 variates of the history, found 1"),
        (HISTORY_2x30, QUANTILES, {"actual": walks(2, 3)}, r"actual must have shape \(2, 24\).*found \(2, 3\)"),
        (HISTORY_2x30, QUANTILES, {"max_series": 0}, "max_series must be at least 1, found 0"),
        (HISTORY_2x30, QUANTILES, {"history_length": 0}, "history_length must be at least 1, found 0"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(history, forecast, options, message):
    with pytest.raises(ValueError, match=message):
        plot(history, forecast, **{"quantile_levels": LEVELS, **options})


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda h, f: (h.drop(columns="target"), f), {}, r"history lacks the columns \['target'\]; it has \['item_id'"),
        (lambda h, f: (h, f.drop(columns="predictions")), {}, r"forecast lacks the columns \['predictions'\]"),
        (lambda h, f: (h, f), {"quantile_levels": [0.25]}, r"forecast lacks the columns \['0.25'\]"),
        (lambda h, f: (h, f.iloc[:0]), {}, "forecast has no rows"),
        (lambda h, f: (h[h.item_id != "b"], f), {}, "history lacks 1 of the forecast's series, such as 'b'"),
        (lambda h, f: (h, f), {"variates": ["a"]}, "variates names the rows of arrays"),
    ],
)
def test_frames_that_do_not_fit_are_refused(change, options, message):
    with pytest.raises(ValueError, match=message):
        plot(*change(*frames(["a", "b"])), **options)


def test_what_is_no_array_and_a_frame_with_an_array_are_refused():
    history, _ = frames(["a"])
    with pytest.raises(TypeError, match="two arrays or two DataFrames, found DataFrame and ndarray"):
        plot(history, QUANTILES)
    with pytest.raises(TypeError, match=r"history must be one array of numbers \(variates, time\), found list"):
        plot([walks(3), walks(4)], QUANTILES, quantile_levels=LEVELS)
