"""Blocks of one kind as one module: stacked and scanned, or one after the other."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, PyTree

Block = TypeVar("Block", bound=nnx.Module)


def stack_blocks(make: Callable[[nnx.Rngs], Block], layers: int, rngs: nnx.Rngs) -> Block:
    """So many blocks as one, whose parameters have the layers as first axis.

    Args:
        make: Makes one block from its random keys.
        layers: Number of blocks.
        rngs: Split into keys of their own for each block.
    """

    @nnx.split_rngs(splits=layers)
    @nnx.vmap
    def stacked(rngs: nnx.Rngs) -> Block:
        return make(rngs)

    return stacked(rngs)


def unstack_blocks(blocks: nnx.Module, layers: int) -> nnx.List:
    """Stacked blocks one after the other.

    On a CPU, parameters of 64 bytes or a multiple take no memory of their own; they must not be given away to a jitted
    function (`donate_argnums`).
    """
    graphdef, stacked = nnx.split(blocks)

    def view(leaf: Array | jax.ShapeDtypeStruct, layer: int) -> Array | jax.ShapeDtypeStruct:
        if isinstance(leaf, jax.ShapeDtypeStruct):
            return jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype)
        (device,) = leaf.devices()
        return jax.device_put(np.asarray(leaf)[layer], device)

    def block(layer: int) -> nnx.Module:
        return nnx.merge(graphdef, jax.tree.map(lambda leaf: view(leaf, layer), stacked))

    return nnx.List([block(layer) for layer in range(layers)])


def apply_blocks(
    blocks: nnx.Module,
    number: int,
    apply: Callable[[Any, Array], tuple[Array, PyTree]],
    x: Array,
    *,
    in_place: bool = False,
) -> tuple[Array, PyTree]:
    """Applies the first blocks, one after the other.

    A loop over stacked blocks compiles once for all of them, but copies the parameters of each out of the stack. A CPU
    has them in a list and does without the copies, which take longer than the products of a few positions.

    Args:
        blocks: Stacked by `stack_blocks`, or one after the other.
        number: How many of them.
        apply: From a block and `x` to the next `x`, and something to keep.
        x: What enters the first.
        in_place: Read the parameters of fewer blocks than there are where they are, rather than from a copy of that
            part of the stack. For programs without gradients: they would be as large as the whole stack in each block.

    Returns:
        What leaves the last, and what was kept, along a new first axis; of a list, both at once are in memory.
    """
    if isinstance(blocks, nnx.List):
        graphdef, _ = nnx.split(blocks[0])
        # Traced once for all blocks.
        run = jax.jit(lambda state, x: apply(nnx.merge(graphdef, state), x))
        kept = []
        for block in blocks[:number]:
            x, keep = run(nnx.state(block), x)
            kept.append(keep)
        if not kept:
            _, keep = jax.eval_shape(run, nnx.state(blocks[0]), x)
            return x, jax.tree.map(lambda leaf: jnp.zeros((0, *leaf.shape), leaf.dtype), keep)
        return x, jax.tree.map(lambda *leaves: jnp.stack(leaves), *kept)
    graphdef, stacked = nnx.split(blocks)

    def step(x: Array, state: nnx.State) -> tuple[Array, PyTree]:
        return apply(nnx.merge(graphdef, state), x)

    def step_in_place(x: Array, index: Array) -> tuple[Array, PyTree]:
        return step(x, jax.tree.map(lambda leaf: jax.lax.dynamic_index_in_dim(leaf, index, keepdims=False), stacked))

    if in_place:
        return jax.lax.scan(step_in_place, x, jnp.arange(number))
    return jax.lax.scan(step, x, jax.tree.map(lambda leaf: leaf[:number], stacked))


def block_at(blocks: nnx.Module, index: int) -> Any:
    """One of the blocks."""
    if isinstance(blocks, nnx.List):
        return blocks[index]
    graphdef, stacked = nnx.split(blocks)
    return nnx.merge(graphdef, jax.tree.map(lambda leaf: leaf[index], stacked))
