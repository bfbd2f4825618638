"""Blocks of one kind as one module, to be scanned."""

from collections.abc import Callable
from typing import TypeVar

from flax import nnx

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
