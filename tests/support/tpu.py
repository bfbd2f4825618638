"""Compiling for TPUs on a machine without one, in processes of their own: the compiler talks on stderr."""

import importlib.util
import os

import pytest

from train.compilation.topology import ENVIRONMENT, REQUIRED


def tpu_environment() -> dict[str, str]:
    """The environment of a process that compiles for TPUs, or a skip that says what is absent."""
    if importlib.util.find_spec("libtpu") is None and "TPU_LIBRARY_PATH" not in os.environ:
        pytest.skip("the TPU compiler is absent: pip install libtpu, or set TPU_LIBRARY_PATH to a libtpu.so")
    return os.environ | ENVIRONMENT | REQUIRED
