"""The PyTorch reference, and cases in which the port is compared with it."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from safetensors.numpy import save_file

from chronos_jax.chronos2.config import Chronos2Config
from chronos_jax.chronos2.random_weights import random_tensors


def reference_module(name: str) -> Any:
    """A module of the reference; skips the test where it is not installed."""
    pytest.importorskip("torch", reason="the PyTorch reference is not installed (extra: test)")
    # Its imports and its transformers version warn of their own deprecations, which say nothing about this project.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason="chronos-forecasting is not installed (extra: test)")


def reference_pipeline(folder: Path, dtype: str = "float32") -> Any:
    """The reference's pipeline for a checkpoint folder; skips the test where the reference is not installed."""
    chronos = reference_module("chronos")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = chronos.Chronos2Pipeline.from_pretrained(folder, dtype=dtype)
    pipeline.model.eval()
    return pipeline


def write_random_checkpoint(folder: Path, config: Chronos2Config, seed: int = 0) -> Path:
    """A checkpoint in the published format with weights that behave as trained ones; an existing one is kept."""
    if not (folder / "config.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        save_file(random_tensors(config, seed), folder / "model.safetensors", metadata={"format": "pt"})
        (folder / "config.json").write_text(json.dumps(config.to_dict()))
    return folder


class Case(NamedTuple):
    """Series as the reference takes them: one row each, NaN where missing, and what is known of their future."""

    context_BxT: np.ndarray
    group_ids_B: np.ndarray
    future_BxH: np.ndarray | None = None
    num_output_patches: int = 2


def walks(*shape: int, seed: int = 0) -> np.ndarray:
    """Random walks with a season of 24 steps: neither stationary nor smooth."""
    rng = np.random.default_rng([seed, *shape])
    steps = rng.standard_normal(shape).cumsum(-1)
    season = 3 * np.sin(np.arange(shape[-1]) * 2 * np.pi / 24 + rng.uniform(0, 6, (*shape[:-1], 1)))
    return (steps + season).astype(np.float32)


def _alone(context_BxT: np.ndarray) -> Case:
    return Case(context_BxT, np.arange(len(context_BxT)))


def _ragged() -> Case:
    x = walks(4, 100)
    for row, length in enumerate((100, 61, 16, 3)):
        x[row, :-length] = np.nan
    return Case(x, np.zeros(4, int))


def _nan_inside() -> Case:
    x = walks(3, 100)
    x[0, 40:75] = np.nan  # whole patches
    x[1, ::3] = np.nan
    x[2, -20:] = np.nan
    return Case(x, np.zeros(3, int))


def _all_missing() -> Case:
    x = walks(4, 48)
    x[1] = np.nan
    x[3] = np.nan
    return Case(x, np.array([0, 0, 1, 2]))


def _constants() -> Case:
    x = np.repeat(np.array([[0.0], [5.0], [-3.0], [1024.0]], np.float32), 48, axis=1)
    return Case(x, np.array([0, 1, 2, 2]))


def _covariates() -> Case:
    future = walks(5, 20, seed=1)
    future[:2] = np.nan
    future[3, 7:12] = np.nan
    return Case(walks(5, 100), np.array([0, 0, 0, 0, 1]), future)


def _mixed_groups() -> Case:
    future = walks(7, 32, seed=2)
    future[[0, 3, 4]] = np.nan
    return Case(walks(7, 64), np.array([4, 1, 4, 9, 1, 4, 2]), future)


CASES: dict[str, Callable[[], Case]] = {
    "univariate, 1 step": lambda: _alone(walks(2, 1)),
    "univariate, 15 steps": lambda: _alone(walks(2, 15)),
    "univariate, 16 steps": lambda: _alone(walks(2, 16)),
    "univariate, 17 steps": lambda: _alone(walks(2, 17)),
    "univariate, 512 steps": lambda: _alone(walks(2, 512)),
    "univariate, 2,048 steps": lambda: _alone(walks(1, 2048)),
    "beyond context_length": lambda: _alone(walks(1, 8300)),
    "multivariate, 5 × 50": lambda: Case(walks(5, 50), np.zeros(5, int)),
    "ragged": _ragged,
    "NaN inside": _nan_inside,
    "all-missing series": _all_missing,
    "values of 1e-6": lambda: Case(walks(3, 100) * np.float32(1e-6), np.array([0, 0, 1])),
    "values of 1e8": lambda: Case(walks(3, 100) * np.float32(1e8), np.array([0, 0, 1])),
    "constants": _constants,
    "future covariates": _covariates,
    "mixed groups": _mixed_groups,
}
