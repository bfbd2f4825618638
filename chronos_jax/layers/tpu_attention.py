"""Attention within small blocks of positions as one TPU kernel: logits and weights never leave the core.

XLA gives every head of every block an array whose last axes are padded to tiles of 8 x 128, in memory. Here a block of
about 128 positions, of several series, is one program: a product fills the matrix unit, and a mask keeps apart what
must not see each other. See docs/performance.md for what it saves.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float

from chronos_jax.layers.rotary import Rotary, turn
from chronos_jax.sharding import batch_shards, partition_spec

LANES = 128

BLOCK = 256
"""Beyond so many positions a program takes only as many heads as fill the lanes, so that it fits the core's memory."""

LARGEST_BLOCK = 768
"""Positions whose logits, weights and mask fit the memory beside the core, for the heads that fill the lanes."""


@dataclass(frozen=True)
class TpuAttention:
    """The kernel on the devices of a mesh.

    Attributes:
        mesh: Blocks are split along "batch", heads along "heads" (see `chronos_jax.sharding`); None: one device.
        interpret: Run without a TPU, slowly, for tests.
    """

    mesh: Mesh | None = None
    interpret: bool = False

    @property
    def shards(self) -> int:
        """Number of blocks must be a multiple of this."""
        return 1 if self.mesh is None else batch_shards(self.mesh)

    def fits(self, groups: int, positions: int, num_heads: int, width: int) -> bool:
        """Whether groups and heads can be split over the devices, and blocks of so many positions computed.

        Args:
            groups: Whose blocks are split over the devices.
            positions: Of the largest block.
            num_heads: Heads.
            width: Of a head.
        """
        tensor = 1 if self.mesh is None else self.mesh.shape["tensor"]
        if groups % self.shards or num_heads % tensor:
            return False
        return positions <= (LARGEST_BLOCK if _few_heads(num_heads // tensor * width, width) else BLOCK)

    def __call__(
        self,
        q_NxQxC: Float[Array, "n q c"],
        k_NxTxC: Float[Array, "n t c"],
        v_NxTxC: Float[Array, "n t c"],
        keys_NxT: Bool[Array, "n t"],
        *,
        visible_QxT: Bool[np.ndarray, "q t"],
        num_heads: int,
        rotary: tuple[Rotary, Rotary] | None = None,
    ) -> Float[Array, "n q c"]:
        """What each query takes: zero where it sees no key that counts.

        Args:
            q_NxQxC: Queries of N blocks, heads side by side along the last axis.
            k_NxTxC: Keys.
            v_NxTxC: Values.
            keys_NxT: Keys that count.
            visible_QxT: Which key is seen by which query, the same in every block.
            num_heads: Heads.
            rotary: Angles of the queries and of the keys; products with them are taken in float32.
        """
        angles = () if rotary is None else (*rotary[0], *rotary[1])
        width = q_NxQxC.shape[-1] // num_heads
        run = partial(_run, width=width, interpret=self.interpret)
        visible, keys = jnp.asarray(visible_QxT, jnp.int8), keys_NxT.astype(jnp.int8)[:, None, :]
        arrays = q_NxQxC, k_NxTxC, v_NxTxC, keys, visible, *angles
        if self.mesh is None:
            return run(*arrays)
        rows, whole = partition_spec(("batch", None, "heads")), partition_spec(())
        specs = (rows, rows, rows, partition_spec(("batch",)), whole, *(whole for _ in angles))
        return jax.shard_map(run, mesh=self.mesh, in_specs=specs, out_specs=rows, check_vma=False)(*arrays)


def _run(q: Array, k: Array, v: Array, keys: Array, *shared: Array, width: int, interpret: bool) -> Array:
    """One program for each block, and for each few heads where blocks are large."""
    from jax.experimental import pallas as pl  # a tenth of a second that only TPUs need

    blocks, queries, channels = q.shape
    positions = k.shape[1]
    at_once = LANES if positions > BLOCK and _few_heads(channels, width) else channels
    pairs = blocks * queries * positions * channels

    def of_block(rows: int) -> pl.BlockSpec:
        return pl.BlockSpec((1, rows, at_once), lambda block, heads: (block, 0, heads))

    return pl.pallas_call(
        partial(_kernel, width=width),
        grid=(blocks, channels // at_once),
        in_specs=[
            of_block(queries),
            of_block(positions),
            of_block(positions),
            pl.BlockSpec((1, 1, positions), lambda block, heads: (block, 0, 0)),
            *(pl.BlockSpec(x.shape, lambda block, heads: (0, 0)) for x in shared),
        ],
        out_specs=of_block(queries),
        out_shape=jax.ShapeDtypeStruct(q.shape, q.dtype),
        # For the compiler's schedule, and for its count of bytes: of the kernel, what it reads and writes outside.
        cost_estimate=pl.CostEstimate(
            flops=4 * pairs,
            transcendentals=pairs // width,
            bytes_accessed=sum(x.size * x.dtype.itemsize for x in (q, k, v, keys, q, *shared)),
        ),
        interpret=interpret,
    )(q, k, v, keys, *shared)


def _few_heads(channels: int, width: int) -> bool:
    """Whether a program can take some of the heads: so many as fill the lanes."""
    return LANES % width == 0 and channels % LANES == 0


def _kernel(
    q_ref: Any, k_ref: Any, v_ref: Any, keys_ref: Any, visible_ref: Any, *angles_and_out: Any, width: int
) -> None:
    *angles, out_ref = angles_and_out
    counts_QxT = (visible_ref[...].astype(jnp.int32) * keys_ref[0].astype(jnp.int32)) > 0
    for start in range(0, q_ref.shape[-1], width):
        head = slice(start, start + width)
        q, k, v = q_ref[0, :, head], k_ref[0, :, head], v_ref[0, :, head]
        if angles:
            q, k = turn(q, angles[0][...], angles[1][...]), turn(k, angles[2][...], angles[3][...])
        over_width, over_keys = (((1,), (1,)), ((), ())), (((1,), (0,)), ((), ()))
        logits = jax.lax.dot_general(q, k, over_width, preferred_element_type=jnp.float32)
        logits = jnp.where(counts_QxT, logits, jnp.finfo(jnp.float32).min)
        weights = jnp.where(counts_QxT, jnp.exp(logits - jnp.max(logits, axis=1, keepdims=True)), 0.0)
        total = jnp.sum(weights, axis=1, keepdims=True)
        weights = weights / jnp.where(total > 0, total, 1.0)
        y = jax.lax.dot_general(weights.astype(v.dtype), v, over_keys, preferred_element_type=jnp.float32)
        out_ref[0, :, head] = y.astype(out_ref.dtype)
