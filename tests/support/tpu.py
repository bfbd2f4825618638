"""Compiling for TPUs on a machine without one, in processes of their own: the compiler talks on stderr."""

import importlib.util
import os

import pytest

from train.compilation.topology import ENVIRONMENT, REQUIRED


def tpu_environment() -> dict[str, str]:
    """The environment of a process that compiles for TPUs, or a skip that says what is absent."""
    # Not TPU_LIBRARY_PATH: with it every process that starts JAX looks for a TPU and says on stderr that it found none.
    library = os.environ.get("LIBTPU_FOR_TESTS")
    if importlib.util.find_spec("libtpu") is None and library is None:
        pytest.skip("the TPU compiler is absent: pip install libtpu, or set LIBTPU_FOR_TESTS to a libtpu.so")
    return os.environ | ENVIRONMENT | REQUIRED | ({} if library is None else {"TPU_LIBRARY_PATH": library})
