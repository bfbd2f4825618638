"""Forecasts as a long DataFrame of the user's kind."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from chronos_jax.frames.reading import LongFrame


def forecast_frame(
    frame: LongFrame,
    target: list[str],
    quantile_levels: Sequence[Any],
    predictions_NxVxH: Float[np.ndarray, "n v h"],
    quantiles_NxVxHxL: Float[np.ndarray, "n v h l"],
) -> Any:
    """One row per series, target and future step, in this order.

    Args:
        frame: What `read_frame` gave.
        target: Names of the targets (variates).
        quantile_levels: Levels of the last axis; they name columns.
        predictions_NxVxH: Point forecasts, in units of the targets.
        quantiles_NxVxHxL: Quantile forecasts, in units of the targets.

    Returns:
        A DataFrame of the kind that `read_frame` was given, with the columns id, timestamp, target_name, predictions
        and one for each level, named by it. The frame of chronos.chronos2.pipeline.Chronos2Pipeline.predict_df.
    """
    series, variates, steps = predictions_NxVxH.shape
    rows_NxH = np.arange(series * steps).reshape(series, 1, steps)
    result = frame.horizon.iloc[np.repeat(rows_NxH, variates, axis=1).ravel()].reset_index(drop=True)
    columns: dict[str, Any] = {
        "target_name": pd.Index(target).take(np.tile(np.repeat(np.arange(variates), steps), series)),
        "predictions": predictions_NxVxH.ravel(),
    }
    for index, level in enumerate(quantile_levels):
        columns[str(level)] = quantiles_NxVxHxL[..., index].ravel()
    result = pd.concat([result, pd.DataFrame(columns)], axis=1)
    return result if frame.template is None else _as_given(result, frame)


def _as_given(result: pd.DataFrame, frame: LongFrame) -> Any:
    """The result in the user's library, id and timestamps of the user's types where these can hold them."""
    import narwhals as nw

    answer = nw.from_arrow(nw.from_native(result).to_arrow(), backend=frame.template.implementation)
    id_column, timestamp_column = frame.horizon.columns
    types = frame.template.schema
    answer = answer.with_columns(nw.col(id_column).cast(types[id_column]))
    if types[timestamp_column] in (nw.Date, nw.Datetime):
        exact = answer[timestamp_column]
        cast = exact.cast(types[timestamp_column])
        if (cast.cast(exact.dtype) == exact).all():
            answer = answer.with_columns(cast)
    return answer.to_native()
