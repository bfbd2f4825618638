"""Long DataFrames of the user to arrays whose rows are grouped by series and sorted by time."""

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from chronos_jax.frames import validation
from chronos_jax.frames.frequency import following, infer_frequency, parse_frequency


class LongFrame(NamedTuple):
    """Rows of all series, one series after another, each ascending in time.

    Attributes:
        ids_N: Series in order of their first appearance.
        lengths_N: Rows of each series.
        target_VxR: Targets, NaN where missing.
        past: Covariates, one column of R values each.
        future: Those of them that are known ahead: N * prediction_length values each, series after series.
        horizon: Id and timestamp of every forecast step: N * prediction_length rows.
        template: None for pandas; for other libraries the user's frame without rows (a narwhals.DataFrame), whose kind
            the answer takes.
    """

    ids_N: pd.Index
    lengths_N: Int[np.ndarray, " n"]
    target_VxR: Float[np.ndarray, "v r"]
    past: dict[Hashable, pd.Series]
    future: dict[Hashable, pd.Series]
    horizon: pd.DataFrame
    template: Any


def read_frame(
    df: Any,
    future_df: Any = None,
    *,
    target: list[str],
    prediction_length: int,
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
    freq: Any = None,
    validate: bool = True,
    named: Sequence[str] = (),
) -> LongFrame:
    """Everything that a forecast needs of a long DataFrame. Nothing is modified.

    Args:
        df: One row per series and time step; pandas, polars, or another eager frame that narwhals knows.
        future_df: Covariates known ahead, prediction_length rows per series.
        target: Columns to forecast; columns without a role are covariates.
        prediction_length: Steps to forecast.
        id_column: Names the series.
        timestamp_column: Timestamps, or what `pandas.to_datetime` parses; with or without time zone.
        freq: Frequency of pandas, unchecked; by default inferred from all series, which must agree.
        validate: False trusts that rows are grouped by series and sorted, those of future_df in the same order, and
            that everything is as it should be.
        named: Columns that the forecast will have besides, which no id or timestamp column may be called.

    Raises:
        ValueError: What `chronos_jax.frames.validation` checks; no common frequency.
        TypeError: Not a DataFrame.
    """
    if prediction_length < 1:
        raise ValueError(f"prediction_length must be at least 1, got {prediction_length}")
    given, template = _as_pandas(df, "df")
    future = None if future_df is None else _as_pandas(future_df, "future_df")[0]
    offset = None if freq is None else parse_frequency(freq)
    if validate:
        validation.check_columns(given, target, id_column, timestamp_column, named)
        if future is not None:
            validation.check_future_columns(future, given, target, id_column, timestamp_column)

    times_R = _times(given, "df", timestamp_column)
    codes_R, ids_N = pd.factorize(given[id_column])
    ids_N = pd.Index(ids_N)
    covariates = [c for c in given.columns if c not in {id_column, timestamp_column, *target}]
    if validate:
        validation.check_ids(codes_R, id_column)
        validation.check_times(times_R, "df", timestamp_column)
        given, codes_R, times_R = _sorted(given, codes_R, times_R)
        validation.check_no_duplicates(times_R, codes_R, ids_N)
        validation.check_finite(((c, given[c]) for c in [*target, *covariates]), codes_R, ids_N, "df")

    future_times_F = codes_F = None
    if future is not None:
        future_times_F = _times(future, "future_df", timestamp_column)
        if validate:
            codes_F = ids_N.get_indexer(future[id_column])
            validation.check_future_rows(codes_F, future[id_column], ids_N, prediction_length)
            validation.check_times(future_times_F, "future_df", timestamp_column)
            future, codes_F, future_times_F = _sorted(future, codes_F, future_times_F)
            validation.check_finite(((c, future[c]) for c in covariates if c in future), codes_F, ids_N, "future_df")

    lengths_N = np.bincount(codes_R, minlength=len(ids_N))
    last_N = np.cumsum(lengths_N) - 1
    if offset is None:
        offset = infer_frequency(times_R, lengths_N, ids_N)
    times_NH = following(times_R[last_N], offset, prediction_length)
    if validate and future_times_F is not None:
        validation.check_future_times(future_times_F, times_NH, ids_N, prediction_length)
    ids = given[id_column].iloc[last_N].to_numpy()
    return LongFrame(
        ids_N=ids_N,
        lengths_N=lengths_N,
        target_VxR=np.ascontiguousarray(given[target].to_numpy(dtype=np.float32, na_value=np.nan).T),
        past={c: given[c] for c in covariates},
        future={} if future is None else {c: future[c] for c in covariates if c in future},
        horizon=pd.DataFrame({id_column: np.repeat(ids, prediction_length), timestamp_column: times_NH}),
        template=template,
    )


def _as_pandas(frame: Any, name: str) -> tuple[pd.DataFrame, Any]:
    """The frame in pandas, and None or, where it was of another library, that frame without rows."""
    if isinstance(frame, pd.DataFrame):
        return frame, None
    import narwhals as nw

    try:
        known = nw.from_native(frame, eager_only=True)
    except TypeError as error:
        lazy = "; collect it first" if hasattr(frame, "collect") else ""
        raise TypeError(
            f"{name} must be a DataFrame (pandas, polars, or an eager one that narwhals knows), found "
            f"{type(frame).__name__}{lazy}"
        ) from error
    return known.to_pandas(), known.head(0)


def _times(df: pd.DataFrame, name: str, timestamp_column: str) -> pd.DatetimeIndex:
    try:
        return pd.DatetimeIndex(pd.to_datetime(df[timestamp_column]))
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{name} column {timestamp_column!r} cannot be read as timestamps: {error}; convert it with pd.to_datetime"
        ) from error


def _sorted(
    df: pd.DataFrame, codes_R: np.ndarray, times_R: pd.DatetimeIndex
) -> tuple[pd.DataFrame, np.ndarray, pd.DatetimeIndex]:
    """Rows by series, then by time; the same objects where they stand so already."""
    values_R, code_steps = times_R.asi8, np.diff(codes_R)
    if np.all((code_steps > 0) | ((code_steps == 0) & (np.diff(values_R) >= 0))):
        return df, codes_R, times_R
    order_R = np.lexsort([values_R, codes_R])
    return df.iloc[order_R], codes_R[order_R], times_R[order_R]
