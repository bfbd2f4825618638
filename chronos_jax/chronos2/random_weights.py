"""Random weights of any size that behave as trained ones: for tests, benchmarks and baselines.

The reference's own initialisation scales everything by 0.05, norms included: attention is then uniform, and a wrong
mask or rotation hides in the rounding. Here norms lie around 1, matrices keep the size of what passes through them,
and query matrices make the attention logits spread by about 1.5.
"""

import zlib
from typing import Any

import numpy as np

from chronos_jax.checkpoints.weights import Weight, nest, published_shapes
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
PREFIX = "random:"


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


def random_params(config: Chronos2Config, seed: int = 0) -> dict[str, Any]:
    """`random_tensors` in the layout of the model: nested dictionaries of float32 arrays."""
    return nest((weight, _stack(weight, config, seed)) for weight in weight_table(config))


def _stack(weight: Weight, config: Chronos2Config, seed: int) -> np.ndarray:
    tensors = [_draw(name, weight.shape, config, seed) for name in weight.names]
    tensors = [x.T for x in tensors] if weight.transpose else tensors
    return tensors[0] if weight.layers is None else np.stack(tensors)


def parse_random_name(name: str) -> tuple[Chronos2Config, int] | None:
    """Configuration and seed of a name such as `random:tiny` or `random:chronos-2@7`; None for any other name.

    Raises:
        ValueError: A size that does not exist, or a seed that is no number.
    """
    if not name.startswith(PREFIX):
        return None
    size, _, seed = name.removeprefix(PREFIX).partition("@")
    if size not in SIZES or not (seed or "0").isdigit():
        raise ValueError(f"{name!r}: expected {PREFIX}SIZE or {PREFIX}SIZE@SEED with SIZE one of {', '.join(SIZES)}")
    return SIZES[size], int(seed or 0)
