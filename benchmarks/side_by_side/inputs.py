"""What both sides are given: the same NumPy arrays and DataFrames in every process."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def walks(*shape: int) -> np.ndarray:
    """Random walks with a season of 24 steps, along the last axis, float32; the shape is the seed."""
    steps = np.random.default_rng(shape).standard_normal(shape).cumsum(-1)
    return (steps + 3 * np.sin(np.arange(shape[-1]) * 2 * np.pi / 24)).astype(np.float32)


def ragged(number: int) -> list[np.ndarray]:
    """Series with lengths as they are found in practice, 40 … 2,800: most are short, some are long."""
    lengths = np.random.default_rng(0).lognormal(np.log(250), 1.0, number).clip(40, 2800).astype(int)
    return [walks(int(length)) for length in lengths]


def long_frame(series: int, steps: int) -> "pd.DataFrame":
    """The series of `walks(series, steps)`, hourly, as a long DataFrame."""
    import pandas as pd

    return pd.DataFrame(
        {
            "item_id": np.repeat(np.arange(series), steps),
            "timestamp": np.tile(pd.date_range("2024-01-01", periods=steps, freq="h"), series),
            "target": walks(series, steps).ravel(),
        }
    )
