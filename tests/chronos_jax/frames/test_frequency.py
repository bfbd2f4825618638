import warnings

import numpy as np
import pandas as pd
import pytest
from pandas.tseries.frequencies import to_offset

from chronos_jax.frames.frequency import following, infer_frequency, parse_frequency

FREQUENCIES = ["h", "15min", "5h", "12h", "18h", "D", "3D", "W-WED", "2W-SUN", "MS", "ME", "2MS", "QS-FEB", "YE", "B"]


def inferred(*series: pd.DatetimeIndex) -> str:
    times = series[0].append(list(series[1:]))
    names = pd.Index(list("abcdefghij")[: len(series)])
    return infer_frequency(times, np.array([len(s) for s in series]), names).freqstr


def frequency_of_pandas(times: pd.DatetimeIndex) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return to_offset(pd.infer_freq(times)).freqstr


@pytest.mark.parametrize("unit", ["s", "us", "ns"])
@pytest.mark.parametrize("tz", [None, "UTC", "Europe/Berlin"])
@pytest.mark.parametrize("freq", FREQUENCIES)
def test_every_series_has_the_frequency_that_pandas_infers(freq, tz, unit):
    times = pd.date_range("2023-03-01 06:00", periods=60, freq=freq, tz=tz).as_unit(unit)
    series = [times[i : i + n] for i, n in enumerate([3, 4, 50, 2, 3])]
    expected = {frequency_of_pandas(s) for s in series if len(s) > 2}
    if len(expected) == 1:
        assert inferred(*series) == expected.pop()
    else:  # a few business days are days, two months may look like a quarter
        with pytest.raises(ValueError, match="must have the same frequency"):
            inferred(*series)


@pytest.mark.parametrize("days", [1, 7, 28, 30, 31, 91, 365])
def test_constant_steps_of_whole_days_may_be_months_or_years(days):
    for start in pd.date_range("2023-01-01", periods=60):
        times = pd.date_range(start, periods=3, freq=f"{days}D")
        assert inferred(times) == frequency_of_pandas(times)


@pytest.mark.parametrize(("freq", "calls"), [("h", 1), ("D", 1), ("W-TUE", 1), ("MS", 5)])
def test_pandas_is_asked_once_for_series_that_are_alike(freq, calls, monkeypatch):
    asked, infer = [], pd.infer_freq
    monkeypatch.setattr(pd, "infer_freq", lambda times: asked.append(times) or infer(times))
    times = pd.date_range("2024-01-01", periods=20, freq=freq)
    assert inferred(*(times[i : i + 8] for i in (0, 3, 6, 9, 12, 0, 3, 6, 9, 12))) == freq
    assert len(asked) == calls


def test_hours_through_the_changes_of_the_clock():
    times = pd.date_range("2024-03-30", "2024-11-01", freq="h", tz="Europe/Berlin")
    assert inferred(times[:10], times[20:30], times) == "h"


def test_series_that_differ_are_named():
    hours, days = (pd.date_range("2024-01-01", periods=5, freq=f) for f in "hD")
    with pytest.raises(ValueError, match=r"same frequency, found 'h' \(series 'a'\), 'D' \(series 'c'\)"):
        inferred(hours, hours, days)
    sundays, mondays = (pd.date_range("2024-01-01", periods=5, freq=f"W-{day}") for day in ("SUN", "MON"))
    with pytest.raises(ValueError, match=r"'W-SUN' \(series 'a'\), 'W-MON' \(series 'b'\)"):
        inferred(sundays, mondays)


def test_irregular_series_are_named_with_the_first_change():
    hours = pd.date_range("2024-01-01", periods=8, freq="h")
    with pytest.raises(
        ValueError,
        match=r"Could not infer frequency for series 'b': steps are 0 days 01:00:00 at first, but 0 days 02:00:00 "
        r"from 2024-01-01 02:00:00 to 2024-01-01 04:00:00; resample .*freq=",
    ):
        inferred(hours, hours.delete(3))


def test_short_series_need_a_frequency():
    with pytest.raises(ValueError, match="no time series has at least 3 rows; give freq="):
        inferred(pd.date_range("2024-01-01", periods=2, freq="h"))


@pytest.mark.parametrize("freq", ["fortnight", "-1D", "0h", 3, ""])
def test_what_is_no_frequency_is_refused(freq):
    with pytest.raises(ValueError, match="Invalid frequency: freq="):
        parse_frequency(freq)


def test_frequencies_are_those_of_pandas():
    assert parse_frequency("MS") == pd.offsets.MonthBegin()
    assert parse_frequency(pd.offsets.Hour(3)).freqstr == "3h"


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("freq", [*FREQUENCIES, "500ms", "3ns", "SME", "bh"])
def test_steps_are_those_that_pandas_adds(freq, unit):
    last = pd.DatetimeIndex(["2024-01-31 10:00", "2023-12-28", "2024-01-31 10:00", "2024-02-29"]).as_unit(unit)
    offset = to_offset(freq)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        steps = np.stack([last + step * offset for step in range(1, 8)], axis=1)
    pd.testing.assert_index_equal(following(last, offset, 7), pd.DatetimeIndex(steps.ravel()))


def test_days_keep_the_local_time_and_hours_the_elapsed_time():
    last = pd.DatetimeIndex(["2024-03-30 12:00"], tz="Europe/Berlin")
    assert [t.isoformat() for t in following(last, to_offset("D"), 2)] == [
        "2024-03-31T12:00:00+02:00",
        "2024-04-01T12:00:00+02:00",
    ]
    assert following(last, to_offset("24h"), 1)[0].isoformat() == "2024-03-31T13:00:00+02:00"
    assert following(last, to_offset("W-SUN"), 1)[0].isoformat() == "2024-03-31T12:00:00+02:00"


def test_local_times_that_do_not_exist_or_exist_twice():
    nights = pd.DatetimeIndex(["2024-03-30 02:30", "2024-10-26 02:30"], tz="Europe/Berlin")
    assert [t.isoformat() for t in following(nights, to_offset("D"), 2)] == [
        "2024-03-31T03:00:00+02:00",
        "2024-04-01T02:30:00+02:00",
        "2024-10-27T02:30:00+02:00",
        "2024-10-28T02:30:00+01:00",
    ]


def test_timestamps_beyond_their_unit_are_an_error():
    last = pd.DatetimeIndex(["2262-04-01"]).as_unit("ns")
    with pytest.raises(ValueError, match=r"2262|[Oo]ut of bounds|[Oo]verflow"):
        following(last, to_offset("h"), 1000)
