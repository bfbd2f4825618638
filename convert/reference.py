"""The PyTorch references: whether they are installed, and how far from them a result is."""

import importlib
import warnings

import numpy as np

from chronos_jax.checkpoints.errors import CheckpointError

PACKAGES = {"chronos": "chronos-forecasting"}
"""Module → the package that has it, where the names differ."""


def require(*modules: str) -> None:
    """Raises CheckpointError, which says what to install, where one of these modules cannot be imported."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of their dependencies' deprecations
            for module in modules:
                importlib.import_module(module)
    except ImportError as error:
        packages = " ".join(PACKAGES.get(module, module) for module in modules)
        raise CheckpointError(
            f"verify compares with the PyTorch reference, which is not installed ({error}): pip install {packages}"
        ) from error


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference, relative to the reference's largest value; not finite where a value is not."""
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())
