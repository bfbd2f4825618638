"""Long DataFrames to read, and the reference's reading of them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from reference import reference_module


@pytest.fixture(scope="session")
def long_frame() -> Callable[..., pd.DataFrame]:
    """Series of different lengths and starts, with two targets and covariates of every kind."""

    def make(freq: str = "h", lengths: dict[Any, int] | None = None, tz: str | None = None) -> pd.DataFrame:
        rng = np.random.default_rng(0)
        parts = []
        for i, (name, length) in enumerate((lengths or {"b": 9, "c": 4, "a": 6}).items()):
            times = pd.date_range("2024-01-29", periods=length + i, freq=freq, tz=tz)[i:]
            parts.append(pd.DataFrame({"item_id": name, "timestamp": times}))
        df = pd.concat(parts, ignore_index=True)
        df["target"] = rng.normal(size=len(df))
        df.loc[1, "target"] = np.nan
        df["load"] = rng.integers(0, 50, len(df))
        df["temperature"] = rng.normal(size=len(df))
        df["weather"] = rng.choice(["sun", "rain"], len(df))
        return df

    return make


@pytest.fixture(scope="session")
def reference_frames() -> Any:
    """The reference's module of DataFrames."""
    return reference_module("chronos.df_utils")
