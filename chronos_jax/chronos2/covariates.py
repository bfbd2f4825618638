"""Covariates of any type as float32; categories become target means or numbers."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int


def encode_covariates(
    past: Mapping[Any, Any],
    future: Mapping[Any, Any],
    target_VxR: Float[np.ndarray, "v r"],
    lengths_N: Int[np.ndarray, " n"],
    prediction_length: int,
) -> tuple[Float[np.ndarray, "c r"], Float[np.ndarray, "k nh"]]:
    """Covariates as rows beside the targets: first those known in the past only, then those known ahead.

    Numbers become float32. Anything else, booleans too, is a category. With one target, a category becomes the mean of
    the target where it occurs in the series, drawn towards the mean of the series as by one more observation of that;
    with several, its position among the sorted categories. Missing values are a category of their own. What the past
    never showed becomes the mean of the series, or NaN. Follows chronos.chronos2.preprocess.

    Args:
        past: Columns (NumPy arrays or pandas.Series) of all series one after another: R values each.
        future: Columns of `past` that are known ahead: N * prediction_length values each.
        target_VxR: Targets of all series one after another, NaN where missing.
        lengths_N: Values of each series.
        prediction_length: Steps ahead.

    Returns:
        The past of all covariates, and the future of those known ahead.

    Raises:
        ValueError: A column ahead has another length, one holds lists or the like, or is numeric in the past and
            something else in the future, or text in the past and numeric in the future.
    """
    ahead = [name for name in past if name in future]
    ordered = [name for name in past if name not in future] + ahead
    past_CxR = np.empty((len(ordered), target_VxR.shape[1]), np.float32)
    future_KxNH = np.empty((len(ahead), len(lengths_N) * prediction_length), np.float32)
    for c, name in enumerate(ordered):
        known = future.get(name)
        if known is not None and len(known) != future_KxNH.shape[1]:
            raise ValueError(
                f"covariate {name!r} has {len(known)} values ahead, but {len(lengths_N)} series of {prediction_length} "
                f"steps need {future_KxNH.shape[1]}"
            )
        if is_numeric(past[name]):
            past_CxR[c] = _as_float32(past[name])
            encoded_NH = None if known is None else _numeric_future(name, known)
        else:
            codes_R, codes_NH, count = _codes(name, past[name], known)
            if target_VxR.shape[0] == 1:
                past_CxR[c], encoded_NH = _target_means(
                    codes_R, codes_NH, count, target_VxR[0], lengths_N, prediction_length
                )
            else:
                past_CxR[c], encoded_NH = codes_R, np.where(codes_NH < count, codes_NH, np.nan)
        if known is not None:
            future_KxNH[c - len(ordered)] = encoded_NH
    return past_CxR, future_KxNH


def is_numeric(column: Any) -> bool:
    """Whether a column (NumPy array or pandas.Series) holds numbers that are no booleans."""
    if isinstance(column, np.ndarray):
        return np.issubdtype(column.dtype, np.number)
    import pandas.api.types as ptypes

    return ptypes.is_numeric_dtype(column.dtype) and not ptypes.is_bool_dtype(column.dtype)


def _as_float32(column: Any) -> Float[np.ndarray, " _"]:
    with np.errstate(over="ignore"):  # infinities are refused elsewhere
        if isinstance(column, np.ndarray):
            return column.astype(np.float32)
        return column.to_numpy(dtype=np.float32, na_value=np.nan)


def _numeric_future(name: Hashable, future: Any) -> Float[np.ndarray, " _"]:
    if is_numeric(future):
        return _as_float32(future)
    import pandas as pd

    values = pd.Series(future).astype(object)
    if pd.api.types.infer_dtype(values, skipna=True) not in ("boolean", "integer", "floating", "decimal", "empty"):
        example = values[values.notna()].iloc[0]
        raise ValueError(
            f"covariate {name!r} is numeric in the past, but not in the future ({example!r}); give it one type"
        )
    return _as_float32(values)


def _codes(name: Hashable, past: Any, future: Any) -> tuple[Int[np.ndarray, " r"], Int[np.ndarray, " nh"], int]:
    """Numbers of the categories in the past and in the future, and how many there are.

    The last category is that of missing values; what only the future shows has the number after it.
    """
    import pandas as pd

    try:
        column = pd.Series(past, dtype="category")
    except TypeError as error:
        raise ValueError(
            f"covariate {name!r} is neither numbers nor categories ({error}); drop or convert it"
        ) from error
    categories = column.cat.categories
    missing = len(categories)
    codes_R = column.cat.codes.to_numpy(dtype=np.int64)
    codes_R = np.where(codes_R < 0, missing, codes_R)
    if future is None:
        return codes_R, np.empty(0, np.int64), missing + 1
    ahead = pd.Series(future)
    absent_NH = ahead.isna().to_numpy()
    if is_numeric(ahead) and not absent_NH.all() and categories.inferred_type == "string":
        raise ValueError(f"covariate {name!r} is text in the past, but numeric in the future; give it one type")
    codes_NH = categories.get_indexer(ahead)
    codes_NH = np.where(codes_NH < 0, missing + 1, codes_NH)
    return codes_R, np.where(absent_NH, missing, codes_NH), missing + 1


def _target_means(
    codes_R: Int[np.ndarray, " r"],
    codes_NH: Int[np.ndarray, " nh"],
    count: int,
    target_R: Float[np.ndarray, " r"],
    lengths_N: Int[np.ndarray, " n"],
    prediction_length: int,
) -> tuple[Float[np.ndarray, " r"], Float[np.ndarray, " nh"]]:
    """Smoothed means of the target by series and category; only pairs that occur take memory."""
    import pandas as pd

    series_N = np.arange(len(lengths_N))
    series_R = np.repeat(series_N, lengths_N)
    observed_R = np.isfinite(target_R)
    values_R = np.where(observed_R, target_R, 0)
    observed_N = np.bincount(series_R, weights=observed_R, minlength=len(lengths_N))
    mean_N = np.bincount(series_R, weights=values_R, minlength=len(lengths_N)) / np.maximum(observed_N, 1)

    width = count + 1
    pair_R, pairs_P = pd.factorize(series_R * width + codes_R)
    sum_P = np.bincount(pair_R, weights=values_R)
    encoded_P = (mean_N[pairs_P // width] + sum_P) / (1 + np.bincount(pair_R, weights=observed_R))

    series_NH = np.repeat(series_N, prediction_length)[: len(codes_NH)]
    pair_NH = pd.Index(pairs_P).get_indexer(series_NH * width + codes_NH)
    return encoded_P[pair_R], np.where(pair_NH < 0, mean_N[series_NH], encoded_P[pair_NH])
