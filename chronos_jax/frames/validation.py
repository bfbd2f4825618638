"""What may be wrong with long DataFrames, said in terms of their columns and series."""

import difflib
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pandas.api.types as ptypes
from jaxtyping import Int

SHOWN = 5


def series_name(ids_N: pd.Index, index: int | np.integer) -> str:
    """An id as it stands in messages: 3 or 'a', not np.int64(3)."""
    return repr(ids_N[index : index + 1].tolist()[0])


def _listed(values: Any) -> str:
    items = values.tolist()
    return "[" + ", ".join(map(repr, items[:SHOWN])) + (", …" if len(items) > SHOWN else "") + "]"


def _check_present(df: pd.DataFrame, name: str, wanted: Sequence[Hashable]) -> None:
    missing = [c for c in wanted if c not in df.columns]
    if not missing:
        return
    nearest = {m: difflib.get_close_matches(str(m), list(map(str, df.columns)), n=1, cutoff=0.6) for m in missing}
    hints = ", ".join(f"{near[0]!r} for {m!r}" for m, near in nearest.items() if near)
    index = [m for m in missing if m in df.index.names]
    raise ValueError(
        f"{name} does not contain all expected columns. Missing columns: {missing}; it has {list(df.columns)}"
        + (f"; did you mean {hints}?" if hints else "")
        + (f"; {index} are in the index, call {name}.reset_index() first" if index else "")
    )


def _check_unique(df: pd.DataFrame, name: str) -> None:
    duplicated = df.columns[df.columns.duplicated()].unique()
    if len(duplicated):
        raise ValueError(f"{name} has several columns named {_listed(duplicated)}; give every column its own name")


def check_columns(
    df: pd.DataFrame, target: list[str], id_column: str, timestamp_column: str, named: Sequence[str]
) -> None:
    """Raises ValueError unless the columns are there, are different ones, and targets hold numbers.

    Args:
        df: The frame.
        target: Columns to forecast.
        id_column: Names the series.
        timestamp_column: Timestamps.
        named: Further columns that the forecast will have.
    """
    if not target:
        raise ValueError("target names no column; name at least one to forecast")
    roles = [id_column, timestamp_column, *target]
    repeated = [c for i, c in enumerate(roles) if c in roles[:i]]
    if repeated:
        raise ValueError(
            f"column {repeated[0]!r} has two roles; id_column={id_column!r}, timestamp_column={timestamp_column!r} and "
            f"target={target!r} must all differ"
        )
    taken = {"target_name", "predictions", *named} & {id_column, timestamp_column}
    if taken:
        raise ValueError(f"column {taken.pop()!r} would be overwritten in the forecast; rename it")
    _check_unique(df, "df")
    _check_present(df, "df", roles)
    if df.empty:
        raise ValueError("df is empty; it needs at least one row")
    for column in target:
        dtype = df[column].dtype
        if df[column].isna().all():  # of any type: nothing is observed
            continue
        if not ptypes.is_numeric_dtype(dtype) or ptypes.is_complex_dtype(dtype):
            raise ValueError(
                f"Target column {column!r} must be numeric, got dtype {dtype}; convert it, as with pd.to_numeric or, "
                "in polars, cast(pl.Float64)"
            )


def check_future_columns(
    future_df: pd.DataFrame, df: pd.DataFrame, target: list[str], id_column: str, timestamp_column: str
) -> None:
    """Raises ValueError unless future_df has id, timestamp, and otherwise covariates of df only."""
    _check_unique(future_df, "future_df")
    _check_present(future_df, "future_df", [id_column, timestamp_column])
    targets = [c for c in future_df.columns if c in target]
    if targets:
        raise ValueError(
            f"future_df cannot contain target columns. Target columns found: {targets}; drop them, "
            "they are what is forecast"
        )
    extra = [c for c in future_df.columns if c not in df.columns]
    if extra:
        raise ValueError(
            f"future_df cannot contain columns not present in df. Extra columns: {extra}; drop them, or add their "
            "history to df"
        )


def check_ids(codes_R: Int[np.ndarray, " r"], id_column: str) -> None:
    """Raises ValueError where factorised ids are missing (-1)."""
    missing = int((codes_R < 0).sum())
    if missing:
        raise ValueError(
            f"df has {missing} rows without an id (column {id_column!r}), the first is row {int(codes_R.argmin())}; "
            "drop them or fill them in"
        )


def check_times(times_R: pd.DatetimeIndex, name: str, timestamp_column: str) -> None:
    """Raises ValueError for missing timestamps."""
    missing_R = times_R.isna()
    if missing_R.any():
        raise ValueError(
            f"{name} has {int(missing_R.sum())} rows without a timestamp (column {timestamp_column!r}), the first is "
            f"row {int(missing_R.argmax())}; drop them or fill them in"
        )


def check_no_duplicates(times_R: pd.DatetimeIndex, codes_R: Int[np.ndarray, " r"], ids_N: pd.Index) -> None:
    """Raises ValueError where a sorted series has a timestamp twice."""
    same_R = (np.diff(times_R.asi8) == 0) & (np.diff(codes_R) == 0)
    if same_R.any():
        row = int(same_R.argmax())
        raise ValueError(
            f"duplicate timestamps: series {series_name(ids_N, codes_R[row])} has more than one row at {times_R[row]}; "
            "keep one, or aggregate them"
        )


def check_finite(
    columns: Iterable[tuple[Hashable, pd.Series]], codes_R: Int[np.ndarray, " r"], ids_N: pd.Index, name: str
) -> None:
    """Raises ValueError for infinite values in numeric columns; missing ones are fine."""
    for column, values in columns:
        if not ptypes.is_numeric_dtype(values.dtype) or ptypes.is_bool_dtype(values.dtype):
            continue
        with np.errstate(over="ignore"):
            infinite_R = np.isinf(values.to_numpy(dtype=np.float32, na_value=np.nan))
        if infinite_R.any():
            raise ValueError(
                f"{name} column {column!r} holds values that are infinite or beyond float32, first in series "
                f"{series_name(ids_N, codes_R[infinite_R.argmax()])}; NaN means missing"
            )


def check_future_rows(
    codes_F: Int[np.ndarray, " f"], future_ids_F: pd.Series, ids_N: pd.Index, prediction_length: int
) -> None:
    """Raises ValueError unless future_df has prediction_length rows for each series of df and no others.

    Args:
        codes_F: Position in ids_N of the series of each row of future_df, -1 for unknown ones.
        future_ids_F: The ids themselves.
        ids_N: Ids of df.
        prediction_length: Rows that each series must have.
    """
    counts_N = np.bincount(codes_F[codes_F >= 0], minlength=len(ids_N))
    unknown = future_ids_F[codes_F < 0].unique()
    lacking = ids_N[counts_N == 0]
    problems = [f"it has ids not present in df {_listed(unknown)}"] if len(unknown) else []
    problems += [f"it lacks {_listed(lacking)}"] if len(lacking) else []
    if problems:
        raise ValueError(f"future_df must have the same time series IDs as df, but {' and '.join(problems)}")
    wrong = np.flatnonzero(counts_N != prediction_length)
    if wrong.size:
        raise ValueError(
            f"future_df must contain prediction_length={prediction_length} rows per series; series "
            f"{series_name(ids_N, wrong[0])} has {counts_N[wrong[0]]} (found {wrong.size} of {len(ids_N)} series with "
            "a different number of rows)"
        )


def check_future_times(
    times_F: pd.DatetimeIndex, expected_F: pd.DatetimeIndex, ids_N: pd.Index, prediction_length: int
) -> None:
    """Raises ValueError unless the sorted timestamps of future_df are the expected ones (as instants)."""
    if (times_F.tz is None) != (expected_F.tz is None):
        raise ValueError(
            f"future_df timestamps do not match the expected prediction timestamps: they are {times_F.dtype}, those of "
            f"df {expected_F.dtype}; give both a time zone or neither"
        )
    wrong_F = np.asarray(times_F != expected_F)
    if wrong_F.any():
        row = int(wrong_F.argmax())
        series, step = divmod(row, prediction_length)
        raise ValueError(
            "future_df timestamps do not match the expected prediction timestamps: series "
            f"{series_name(ids_N, series)}, step {step + 1} is at {times_F[row]}, expected {expected_F[row]}; mend "
            "them, give freq=, or disable this check with validate_inputs=False"
        )
