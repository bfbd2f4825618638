"""The rate of plain matrix products, by JAX or by PyTorch: what programs of them could reach at best on a machine."""

from collections.abc import Callable
from typing import Any

# Width, and products in one call: enough that starting the call does not count.
SIZES = {"cpu": (4096, 1, "float32"), "gpu": (8192, 16, "bfloat16")}


def make_product() -> Callable[[Any], object]:
    """A function that computes such products by JAX, on its default device, and waits for them."""
    import jax
    import jax.numpy as jnp

    width, products, dtype = SIZES[jax.default_backend()]
    left, right = (jax.random.normal(jax.random.key(seed), (width, width), dtype) for seed in (0, 1))
    right = right / jnp.sqrt(jnp.asarray(width, dtype))  # so that products of products keep their size

    @jax.jit
    def chain(left: jax.Array, right: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, products, lambda _, x: x @ right, left)

    return lambda _: chain(left, right).block_until_ready()


def make_torch_product() -> Callable[[Any], object]:
    """The same by PyTorch, on the device of the pipeline that it is called with."""
    import torch

    def chain(pipeline: Any) -> None:
        device = pipeline.model.device.type
        width, products, dtype = SIZES["cpu" if device == "cpu" else "gpu"]
        if not matrices:
            torch.manual_seed(0)
            shape, options = (width, width), {"device": device, "dtype": getattr(torch, dtype)}
            matrices.extend([torch.randn(shape, **options), torch.randn(shape, **options) / width**0.5])
        x = matrices[0]
        for _ in range(products):
            x = x @ matrices[1]
        x[0, 0].item()  # waits

    matrices: list[Any] = []
    return chain


def product_flops(device: str) -> int:
    """Operations of one call."""
    width, products, _ = SIZES[device]
    return 2 * products * width**3
