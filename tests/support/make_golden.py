"""Writes the golden files: what the PyTorch reference says of a very small model, for machines without PyTorch.

Run as `python tests/support/make_golden.py` after a change of the cases; the files are committed.
"""

from pathlib import Path

import numpy as np
from comparison import run_reference
from reference import CASES, reference_pipeline, write_random_checkpoint

from chronos_jax import Chronos2Config

GOLDEN = Path(__file__).resolve().parents[1] / "chronos_jax" / "chronos2" / "golden"
CONFIG = Chronos2Config(d_model=16, d_kv=4, d_ff=32, num_layers=2, num_heads=4, quantiles=(0.1, 0.5, 0.9))
LONGEST = 128
"""Cases of longer contexts would make the files large."""


def golden_cases() -> list[str]:
    """Names of the cases that the golden files hold."""
    return [name for name, make in CASES.items() if make().context_BxT.shape[1] <= LONGEST]


def main() -> None:
    reference = reference_pipeline(write_random_checkpoint(GOLDEN, CONFIG))
    arrays = {}
    for name in golden_cases():
        outputs = run_reference(reference, CASES[name]())
        for quantity in ("hidden", "quantiles", "loc", "scale"):
            arrays[f"{name}/{quantity}"] = getattr(outputs, quantity)
    np.savez_compressed(GOLDEN / "cases.npz", **arrays)


if __name__ == "__main__":
    main()
