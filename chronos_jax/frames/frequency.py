"""The common frequency of many series, and the timestamps that follow them."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int
from pandas.tseries.frequencies import to_offset
from pandas.tseries.offsets import BaseOffset, Day, Tick

from chronos_jax.frames.validation import series_name


def parse_frequency(freq: Any) -> BaseOffset:
    """A frequency that the user gave, as pandas takes it ("h", "15min", "MS", an offset).

    Raises:
        ValueError: Not a frequency of pandas, or one that does not lead forwards.
    """
    try:
        offset = to_offset(freq)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"Invalid frequency: freq={freq!r} is none of pandas ({error}); give one such as 'h', '15min', 'D', "
            "'W-SUN' or 'MS'"
        ) from error
    if offset.n < 1:
        raise ValueError(f"Invalid frequency: freq={freq!r} does not lead forwards; give a positive step such as 'D'")
    return offset


def infer_frequency(times_R: pd.DatetimeIndex, lengths_N: Int[np.ndarray, " n"], ids_N: pd.Index) -> BaseOffset:
    """What `pandas.infer_freq` says of every series with at least three rows, asked once for series that are alike.

    Args:
        times_R: Timestamps of all series, one after another, ascending within each.
        lengths_N: Rows of each series.
        ids_N: Names of the series, for messages.

    Raises:
        ValueError: A series is irregular, frequencies differ, or no series has three rows.
    """
    ends_N = np.cumsum(lengths_N)
    starts_N = ends_N - lengths_N
    series_M = np.flatnonzero(lengths_N >= 3)
    if not series_M.size:
        raise ValueError(
            "Could not infer frequency: no time series has at least 3 rows; give freq=, such as freq='h' or freq='D'"
        )
    alike: dict[Any, int] = {}
    for series, key in zip(series_M.tolist(), _keys(times_R, starts_N[series_M], ends_N[series_M]), strict=True):
        alike.setdefault(key, series)
    example_of: dict[str, int] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas 3.1 announces another type, which to_offset takes as well
        for series in alike.values():
            times = times_R[starts_N[series] : ends_N[series]]
            freq = pd.infer_freq(times)
            if freq is None:
                raise ValueError(_irregular(times, series_name(ids_N, series)))
            example_of.setdefault(to_offset(freq).freqstr, series)
    if len(example_of) > 1:
        found = ", ".join(f"'{freq}' (series {series_name(ids_N, series)})" for freq, series in example_of.items())
        raise ValueError(
            f"All time series must have the same frequency, found {found}; forecast them apart, or give freq="
        )
    return to_offset(next(iter(example_of)))


def _keys(times_R: pd.DatetimeIndex, starts_M: np.ndarray, ends_M: np.ndarray) -> list[Any]:
    """Series with equal keys have the same frequency.

    A constant step decides alone where no calendar rule can apply: below half a day (in any time zone), or, without
    time zone, for one day and for what is no multiple of a day; for seven days with the weekday. Anything else is
    known by all of its timestamps.
    """
    values_R = times_R.asi8
    steps_R = np.append(np.diff(values_R), 0)
    within_2M = np.stack([starts_M, ends_M - 1], axis=1).ravel()
    step_M = np.minimum.reduceat(steps_R, within_2M)[::2]
    constant_M = step_M == np.maximum.reduceat(steps_R, within_2M)[::2]
    day = int(np.timedelta64(1, "D") / np.timedelta64(1, times_R.unit))
    alone_M = 2 * step_M < day
    if times_R.tz is None:
        alone_M |= (step_M % day != 0) | (step_M == day)
    weekly_M = (step_M == 7 * day) & (times_R.tz is None)
    keys: list[Any] = []
    for m, step in enumerate(step_M.tolist()):
        if constant_M[m] and alone_M[m]:
            keys.append(step)
        elif constant_M[m] and weekly_M[m]:
            keys.append((step, int(values_R[starts_M[m]]) // day % 7))
        else:
            keys.append(values_R[starts_M[m] : ends_M[m]].tobytes())
    return keys


def _irregular(times: pd.DatetimeIndex, name: str) -> str:
    steps = times[1:] - times[:-1]
    changes = np.flatnonzero(steps != steps[0])
    where = ""
    if changes.size:
        k = changes[0]
        where = f": steps are {steps[0]} at first, but {steps[k]} from {times[k]} to {times[k + 1]}"
    return (
        f"Could not infer frequency for series {name}{where}; "
        "resample it to regular timestamps (missing targets are NaN), or give freq= to skip inference"
    )


def following(last_N: pd.DatetimeIndex, offset: BaseOffset, steps: int) -> pd.DatetimeIndex:
    """The timestamps after each series, of all series one after another.

    Steps of days and more keep the local time in time zones. A local time that does not exist moves to the next that
    does; of one that exists twice the first is taken.

    Args:
        last_N: The last timestamp of each series.
        offset: The step.
        steps: How many timestamps to add to each series.

    Raises:
        ValueError: Timestamps beyond what their unit can hold (pandas.errors.OutOfBoundsDatetime).
    """
    zone = last_N.tz
    by_clock = isinstance(offset, Tick) and not isinstance(offset, Day)  # pandas 2 counts Day among the Ticks
    naive_N = last_N
    if zone is not None:
        naive_N = last_N.tz_convert(None) if by_clock else last_N.tz_localize(None)
    if isinstance(offset, Tick | Day):
        naive_NH = _equal_steps(naive_N, offset, steps)
    else:
        naive_NH = _calendar_steps(naive_N, offset, steps)
    if zone is None:
        return naive_NH
    if by_clock:
        return naive_NH.tz_localize("UTC").tz_convert(zone)
    first = np.ones(len(naive_NH), bool)
    return naive_NH.tz_localize(zone, ambiguous=first, nonexistent="shift_forward")


def _equal_steps(last_N: pd.DatetimeIndex, offset: BaseOffset, steps: int) -> pd.DatetimeIndex:
    last_N.max() + steps * offset  # raises where integers would wrap around
    next_N = last_N + offset  # pandas chooses the unit
    step = next_N.asi8[0] - last_N.as_unit(next_N.unit).asi8[0]
    values_NxH = next_N.asi8[:, None] + step * np.arange(steps)[None, :]
    return pd.DatetimeIndex(values_NxH.ravel().view(f"M8[{next_N.unit}]"))


def _calendar_steps(last_N: pd.DatetimeIndex, offset: BaseOffset, steps: int) -> pd.DatetimeIndex:
    row_N, last_U = pd.factorize(last_N)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pd.errors.PerformanceWarning)  # offsets that pandas adds one by one
        times_UxH = np.stack([(last_U + step * offset).to_numpy() for step in range(1, steps + 1)], axis=1)
    return pd.DatetimeIndex(times_UxH[row_N].ravel())
