"""Random weights of any size that behave as trained ones: for tests, benchmarks and baselines.

The reference's own initialisation scales everything by 0.05, norms included: attention is then uniform, and a wrong
mask or rotation hides in the rounding. Here norms lie around 1, matrices keep the size of what passes through them,
and query matrices make the attention logits spread by about 1.5.
"""

import zlib

import numpy as np

from chronos_jax.checkpoints.weights import published_shapes
from chronos_jax.chronos2.config import Chronos2Config
from chronos_jax.chronos2.params import weight_table

SIZES = {
    "chronos-2": Chronos2Config(),
    "chronos-2-small": Chronos2Config(
        d_model=512,
        d_ff=2048,
        num_layers=6,
        num_heads=8,
        quantiles=(0.01, 0.05, *(round(0.1 * i, 1) for i in range(1, 10)), 0.95, 0.99),
    ),
    "tiny": Chronos2Config(d_model=32, d_kv=8, d_ff=64, num_layers=3, num_heads=4),
}
"""Configurations by name. The first is published; `chronos-2-small` has the 28M parameters of
autogluon/chronos-2-small, whose exact sizes are a guess; `tiny` is for tests."""

LOGIT_STD = 1.5


def random_tensors(config: Chronos2Config, seed: int = 0) -> dict[str, np.ndarray]:
    """A float32 tensor for every published name, each drawn from (seed, name) alone, so that sizes can be compared."""
    return {name: _draw(name, shape, config, seed) for name, shape in published_shapes(weight_table(config))}


def _draw(name: str, shape: tuple[int, ...], config: Chronos2Config, seed: int) -> np.ndarray:
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    x = rng.standard_normal(shape, dtype=np.float32)
    if "layer_norm" in name:
        return 1 + np.float32(0.2) * x
    if name.endswith("bias"):
        return np.float32(0.1) * x
    if name == "shared.weight":
        return x
    std = shape[1] ** -0.5
    if name.endswith("attention.q.weight"):
        std *= LOGIT_STD * config.d_kv**-0.5
    return np.float32(std) * x
