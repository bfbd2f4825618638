"""What a picture of a forecast shows: a panel for each series, from arrays or from DataFrames."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped


class Panel(NamedTuple):
    """One series: its history, its forecast by level, and what then happened (NaN where unknown, or None)."""

    title: str
    past_T: Shaped[np.ndarray, " t"]
    history_T: Float[np.ndarray, " t"]
    ahead_H: Shaped[np.ndarray, " h"]
    quantiles_QxH: Float[np.ndarray, "q h"]
    median_H: Float[np.ndarray, " h"] | None
    actual_H: Float[np.ndarray, " h"] | None


def array_panels(
    history: Any, forecast: Any, actual: Any, quantile_levels: Sequence[float] | None, variates: Sequence[str] | None
) -> tuple[list[float], int, Iterator[Panel]]:
    """Levels, number of panels, panels; time counts from the last step of the history."""
    history_VxT = _numbers("history", history, "variates, time")
    forecast_VxQxH = _numbers("forecast", forecast, "variates, levels, horizon")
    history_VxT = history_VxT.astype(_precision(forecast))
    count, steps = len(history_VxT), forecast_VxQxH.shape[2]
    if len(forecast_VxQxH) != count:
        raise ValueError(f"history has {count} variates and forecast {len(forecast_VxQxH)}, expected as many")
    actual_VxH = None if actual is None else _numbers("actual", actual, "variates, horizon")
    if actual_VxH is not None and actual_VxH.shape != (count, steps):
        raise ValueError(f"actual must have shape {(count, steps)} to fit the forecast, found {actual_VxH.shape}")
    if variates is not None and len(variates) != count:
        raise ValueError(f"variates must name the {count} variates of the history, found {len(variates)} names")
    if quantile_levels is None:
        raise ValueError("quantile_levels must be given with arrays; for what `predict` returns, pipeline.quantiles")
    levels = _levels(quantile_levels)
    if len(levels) != forecast_VxQxH.shape[1]:
        hint = "; with levels last, pass forecast.swapaxes(-2, -1)" if len(levels) == steps else ""
        raise ValueError(
            f"quantile_levels must be one for each of the forecast's {forecast_VxQxH.shape[1]} levels (its axis before "
            f"the last), found {len(levels)}{hint}"
        )

    def panels() -> Iterator[Panel]:
        for v, (past, quantiles) in enumerate(zip(history_VxT, forecast_VxQxH, strict=True)):
            yield Panel(
                variates[v] if variates is not None else f"variate {v}" if count > 1 else "",
                np.arange(1 - past.size, 1),
                past,
                np.arange(1, steps + 1),
                quantiles,
                quantiles[levels.index(0.5)] if 0.5 in levels else None,
                None if actual_VxH is None else actual_VxH[v],
            )

    return levels, count, panels()


def frame_panels(
    history: Any,
    forecast: Any,
    actual: Any,
    quantile_levels: Sequence[float] | None,
    id_column: str,
    timestamp_column: str,
) -> tuple[list[float], int, Iterator[Panel]]:
    """Levels, number of panels, panels in the forecast's order; time is that of the time stamps."""
    key = [id_column, "target_name"]
    forecast = _frame("forecast", forecast, [*key, timestamp_column, "predictions"], timestamp_column)
    found = [name for name in forecast.columns if _is_level(name)]
    levels = _levels(found if quantile_levels is None else quantile_levels)
    targets = list(forecast["target_name"].unique())
    columns = [id_column, timestamp_column, *targets]
    by_id = {"by": id_column, "sort": False, "observed": True}
    history = _frame("history", history, columns, timestamp_column).groupby(**by_id)
    if actual is not None:
        actual = _frame("actual", actual, columns, timestamp_column).groupby(**by_id)
    _require("forecast", forecast, [str(level) for level in levels])
    precision = _precision(forecast["predictions"])
    groups = forecast.groupby(key, sort=False, observed=True)
    if unknown := [i for i in forecast[id_column].unique() if i not in history.groups]:
        raise ValueError(
            f"history lacks {len(unknown)} of the forecast's series, such as {unknown[0]!r}; pass the DataFrame that "
            "was forecast"
        )

    def panels() -> Iterator[Panel]:
        for (name, target), rows in groups:
            past = history.get_group(name).sort_values(timestamp_column)
            ahead = rows[timestamp_column]
            then = None
            if actual is not None and name in actual.groups:
                then = actual.get_group(name).set_index(timestamp_column)[target].reindex(ahead).to_numpy(np.float64)
            yield Panel(
                f"{name}, {target}" if len(targets) > 1 else str(name),
                past[timestamp_column].to_numpy(),
                past[target].to_numpy(precision),
                ahead.to_numpy(),
                rows[[str(level) for level in levels]].to_numpy(np.float64).T,
                rows["predictions"].to_numpy(np.float64),
                then,
            )

    return levels, groups.ngroups, panels()


def _precision(forecast: Any) -> type[np.floating]:
    """What the history is rounded to: that of the forecast, or else a series at 1e9 seems to jump where it begins."""
    return np.float32 if getattr(forecast, "dtype", None) == np.float32 else np.float64


def _levels(levels: Sequence[Any]) -> list[float]:
    numbers = [float(level) for level in levels]
    if not all(0 < level < 1 for level in numbers) or len({*numbers}) < len(numbers):
        raise ValueError(f"quantile levels must lie between 0 and 1, each once, found {numbers}")
    return numbers


def _is_level(name: Any) -> bool:
    try:
        return 0 < float(name) < 1
    except (TypeError, ValueError):
        return False


def _numbers(name: str, given: Any, layout: str) -> Float[np.ndarray, "..."]:
    """An array with these axes, of which the first may be absent."""
    try:
        array = np.asarray(given, np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{name} must be one array of numbers ({layout}), found {type(given).__name__}; of a list, pass one input's"
        ) from error
    axes = layout.count(",") + 1
    if array.ndim == axes - 1:
        array = array[None]
    if array.ndim != axes or 0 in array.shape:
        hint = "; of a list of inputs, pass one" if array.ndim > axes else ""
        raise ValueError(
            f"{name} must have shape ({layout}), or without variates for a single one, none of them 0, "
            f"found {np.shape(given)}{hint}"
        )
    return array


def _frame(name: str, given: Any, columns: Sequence[str], timestamp_column: str) -> Any:
    """A pandas DataFrame with these columns, its time stamps parsed."""
    import narwhals as nw
    import pandas as pd

    frame = nw.from_native(given, eager_only=True).to_pandas()
    _require(name, frame, columns)
    if not len(frame):
        raise ValueError(f"{name} has no rows")
    return frame.assign(**{timestamp_column: pd.to_datetime(frame[timestamp_column])})


def _require(name: str, frame: Any, columns: Sequence[str]) -> None:
    if missing := [column for column in columns if column not in frame.columns]:
        raise ValueError(f"{name} lacks the columns {missing}; it has {list(frame.columns)}")
