"""Parity with numbers that the reference gave earlier: the check that needs no PyTorch."""

import numpy as np
import pytest
from comparison import BOUND, Outputs, errors, run_port
from make_golden import GOLDEN, golden_cases
from reference import CASES

from chronos_jax import Chronos2Pipeline


@pytest.fixture(scope="module")
def pipeline():
    return Chronos2Pipeline.from_pretrained(GOLDEN)


@pytest.fixture(scope="module")
def golden():
    return np.load(GOLDEN / "cases.npz")


@pytest.mark.parametrize("name", golden_cases())
def test_the_port_gives_the_golden_numbers(name, pipeline, golden):
    expected = Outputs(*(golden[f"{name}/{quantity}"] for quantity in ("hidden", "quantiles", "loc", "scale")))
    ours, valid = run_port(pipeline, CASES[name]())
    assert max(errors(ours, valid, expected).values()) <= BOUND
