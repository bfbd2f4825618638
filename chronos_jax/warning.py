"""Warnings that point at the line of the user's which caused them."""

import sys
import warnings


def warn(message: str) -> None:
    """A UserWarning, located where this package was called from."""
    level, frame = 1, sys._getframe()
    depth = 1
    while frame.f_back is not None:
        frame, depth = frame.f_back, depth + 1
        if frame.f_globals.get("__name__", "").startswith("chronos_jax."):
            level = depth
    warnings.warn(message, stacklevel=level + 1)
