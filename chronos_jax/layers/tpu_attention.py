"""Norm, attention and residual within small blocks of positions as one TPU kernel.

XLA writes queries, keys, values and what is attended to into memory, and gives every head of every block an array whose
last axes are padded to tiles of 8 x 128. Here a block of about 128 positions, of several series, is one program, which
reads the stream and writes it: its products fill the matrix unit, and a mask keeps apart what must not see each other.
See docs/performance.md for what it saves.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Bool, DTypeLike, Float

from chronos_jax.layers.attention import MultiHeadAttention
from chronos_jax.layers.rotary import Rotary
from chronos_jax.sharding import batch_shards, partition_spec

LANES = 128

LARGEST_BLOCK = 768
"""Positions of the longest context or largest group; programs for more take long to compile."""

MIB = 1 << 20

CORE_MEMORY = {
    "TPU v5 lite": 128 * MIB,
    "TPU v5e": 128 * MIB,
    "TPU v5": 64 * MIB,
    "TPU v5p": 64 * MIB,
    "TPU v6 lite": 128 * MIB,
    "TPU v6e": 128 * MIB,
    "TPU7": 64 * MIB,
    "TPU7x": 64 * MIB,
    "TPU8i": 192 * MIB,
}
"""Bytes beside a core, by `device_kind` (jax.experimental.pallas.tpu.TpuInfo)."""

LEAST_CORE_MEMORY = 16 * MIB
"""What every TPU has."""

FAST_PRECISIONS = None, "default", "bfloat16", "BF16_BF16_F32", "BF16_BF16_BF16"
"""Values of `jax_default_matmul_precision` with which a TPU rounds factors in float32 to bfloat16."""


@dataclass(frozen=True)
class TpuAttention:
    """The kernel on the devices of a mesh.

    Attributes:
        device_kind: As JAX names the devices, such as "TPU v5 lite".
        mesh: Blocks are split along "batch", heads along "heads" (see `chronos_jax.sharding`); None: one device.
        interpret: Run without a TPU, slowly, for tests.
    """

    device_kind: str
    mesh: Mesh | None = None
    interpret: bool = False

    @property
    def shards(self) -> int:
        """Number of blocks must be a multiple of this."""
        return 1 if self.mesh is None else batch_shards(self.mesh)

    @property
    def memory(self) -> int:
        """Bytes beside a core."""
        return CORE_MEMORY.get(self.device_kind, LEAST_CORE_MEMORY)

    def fits(self, groups: int, positions: int, *, d_model: int, num_heads: int, d_head: int, dtype: DTypeLike) -> bool:
        """Whether groups and heads can be split over the devices, and blocks of so many positions computed.

        Args:
            groups: Whose blocks are split over the devices.
            positions: Of the largest block.
            d_model: Width of the stream.
            num_heads: Which, on each device, must fill the lanes: of 64 dimensions, an even number.
            d_head: Dimensions of a head.
            dtype: Of the weights, which the memory beside the core must hold.
        """
        tensor = 1 if self.mesh is None else self.mesh.shape["tensor"]
        channels = num_heads // tensor * d_head
        if groups % self.shards or num_heads % tensor or channels % LANES or LANES % d_head:
            return False
        return positions <= LARGEST_BLOCK and _memory(positions, positions, d_model, channels, dtype) <= self.memory

    def __call__(
        self,
        norm: nnx.RMSNorm,
        attention: MultiHeadAttention,
        x_NxTxD: Float[Array, "n t d"],
        keys_NxT: Bool[Array, "n t"],
        *,
        visible_QxT: Bool[np.ndarray, "q t"],
        rotary: tuple[Rotary, Rotary] | None = None,
        asking_NxQxD: Float[Array, "n q d"] | None = None,
    ) -> Float[Array, "n q d"]:
        """The stream plus what each position takes, which is zero where it sees no key that counts.

        Args:
            norm: Of what enters the attention.
            attention: Its weights.
            x_NxTxD: N blocks of the stream, which is attended to.
            keys_NxT: Keys that count.
            visible_QxT: Which key is seen by which query, the same in every block. Where each sees itself alone there
                is nothing to weigh: queries, keys and angles are not used.
            rotary: Angles of the queries and of the keys; products with them are taken in float32.
            asking_NxQxD: Those positions of the stream that attend; None: all.
        """
        alone = asking_NxQxD is None and np.array_equal(visible_QxT, np.eye(len(visible_QxT), dtype=bool))
        maps = (attention.v, attention.o) if alone else (attention.q, attention.k, attention.v, attention.o)
        width = attention.q.out_features // attention.num_heads
        angles = () if rotary is None or alone else (*_over_lanes(rotary[0], width), *_over_lanes(rotary[1], width))
        assert norm.scale is not None, "RMS norms of encoder blocks scale"
        streams = (x_NxTxD,) if asking_NxQxD is None else (x_NxTxD, asking_NxQxD)
        keys = keys_NxT.astype(jnp.int8)[:, None, :]
        visible, scale = jnp.asarray(visible_QxT, jnp.int8), norm.scale[...][None]
        arrays = streams, keys, visible, scale, tuple(linear.kernel[...] for linear in maps), angles
        run = partial(_run, width=width, epsilon=norm.epsilon, memory=self.memory, interpret=self.interpret)
        if self.mesh is None:
            return run(*arrays)
        rows, whole, heads = partition_spec(("batch",)), partition_spec(()), partition_spec((None, "heads"))
        weights = (*(heads for _ in maps[1:]), partition_spec(("heads",)))
        specs = rows, rows, whole, whole, weights, whole
        summed = partial(_summed_over_heads, run) if self.mesh.shape["tensor"] > 1 else run
        return jax.shard_map(summed, mesh=self.mesh, in_specs=specs, out_specs=rows, check_vma=False)(*arrays)


def _memory(positions: int, queries: int, d_model: int, channels: int, dtype: DTypeLike) -> int:
    """Bytes beside the core for a block of so many positions; somewhat more than compilers were found to need.

    All weights; what comes in and goes out twice, because the next block comes and the last one goes meanwhile; as much
    as six times the stream between the products; logits and their like of a few heads; angles.
    """
    weights = 4 * d_model * channels * jnp.dtype(dtype).itemsize
    streams = 2 * (positions + queries + (queries if queries != positions else 0)) * d_model
    between = 6 * positions * max(d_model, channels)
    return weights + 4 * (streams + between + 4 * queries * positions + 2 * LANES * (positions + queries)) + 2 * MIB


def _over_lanes(rotary: Rotary, width: int) -> tuple[Float[Array, "s lanes"], Float[Array, "s lanes"]]:
    """Cosines and sines for heads side by side: of a head's halves, the first takes the second with a minus."""
    cos, sin = rotary
    return jnp.tile(cos, 2 * LANES // width), jnp.tile(jnp.concatenate([-sin, sin], axis=-1), LANES // width)


def _summed_over_heads(run: Any, streams: tuple[Array, ...], *arrays: Any) -> Array:
    """Each device has some of the heads: what they take is summed, and the stream added once."""
    return streams[-1] + jax.lax.psum(run(streams, *arrays, residual=False), "tensor")


def _run(
    streams: tuple[Array, ...],
    keys: Array,
    visible: Array,
    scale: Array,
    weights: tuple[Array, ...],
    angles: tuple[Array, ...],
    *,
    width: int,
    epsilon: float,
    memory: int,
    interpret: bool,
    residual: bool = True,
) -> Array:
    """One program for each block; what they share is fetched once."""
    from jax.experimental import pallas as pl  # a tenth of a second that only TPUs need
    from jax.experimental.pallas import tpu as pltpu

    x, asking = streams[0], streams[-1]
    (blocks, queries, d_model), positions, channels = asking.shape, x.shape[1], weights[0].shape[1]

    def of_block(array: Array) -> pl.BlockSpec:
        return pl.BlockSpec((1, *array.shape[1:]), lambda block: (block, 0, 0))

    def of_all(array: Array) -> pl.BlockSpec:
        return pl.BlockSpec(array.shape, lambda block: (0, 0), pipeline_mode=pl.Buffered(1))

    alone = len(weights) == 2
    pairs = 0 if alone else blocks * queries * positions * channels
    arrays = streams, keys, visible, scale, weights, angles
    return pl.pallas_call(
        partial(_kernel, width=width, epsilon=epsilon, residual=residual),
        grid=(blocks,),
        in_specs=[*jax.tree.map(of_block, arrays[:2]), *jax.tree.map(of_all, arrays[2:])],
        out_specs=of_block(asking),
        out_shape=jax.ShapeDtypeStruct(asking.shape, asking.dtype),
        # For the compiler's schedule, and for counts: of the kernel, what it reads and writes outside.
        cost_estimate=pl.CostEstimate(
            flops=len(weights) * d_model * channels * blocks * (positions + queries) + 4 * pairs,
            transcendentals=pairs // width,
            bytes_accessed=sum(x.size * x.dtype.itemsize for x in (*jax.tree.leaves(arrays), asking)),
        ),
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel",),
            # The estimate with some room; not all there is, because what XLA has beside the core has to stay there.
            vmem_limit_bytes=min(_memory(positions, queries, d_model, channels, weights[0].dtype) * 3 // 2, memory),
        ),
        interpret=interpret,
    )(*arrays)


def _kernel(
    streams: tuple[Any, ...],
    keys_ref: Any,
    visible_ref: Any,
    scale_ref: Any,
    weights: tuple[Any, ...],
    angles: tuple[Any, ...],
    out_ref: Any,
    *,
    width: int,
    epsilon: float,
    residual: bool,
) -> None:
    """From norm to residual. Without weights of queries and keys every position sees itself alone: its weight is 1."""
    *of_queries_and_keys, v_ref, o_ref = weights
    dtype = v_ref.dtype
    asking = streams[-1][0]
    normed = _normed(streams[0][0], scale_ref, epsilon, dtype)
    v = _product(normed, v_ref[...])
    counts_QxT, any_QxL = _counts(visible_ref, keys_ref)
    if of_queries_and_keys:
        q_ref, k_ref = of_queries_and_keys
        normed_asking = normed if len(streams) == 1 else _normed(asking, scale_ref, epsilon, dtype)
        q, k = _product(normed_asking, q_ref[...]), _product(normed, k_ref[...])
        taken = _attended(q.astype(dtype), k.astype(dtype), v.astype(dtype), counts_QxT, any_QxL, angles, width)
    else:
        taken = jnp.where(any_QxL, v, 0.0).astype(dtype)
    y = _product(taken, o_ref[...])
    out_ref[0] = asking + y if residual else y


def _attended(
    q: Float[Array, "q c"],
    k: Float[Array, "t c"],
    v: Float[Array, "t c"],
    counts_QxT: Bool[Array, "q t"],
    any_QxL: Bool[Array, "q 1"],
    angles: tuple[Any, ...],
    width: int,
) -> Float[Array, "q c"]:
    """What each query takes, of heads side by side."""
    from jax.experimental.pallas import tpu as pltpu

    dtype = q.dtype
    lane = jax.lax.broadcasted_iota(jnp.int32, (1, LANES), 1)

    def turned(x: Array, cos_ref: Any, sin_ref: Any) -> Array:
        x = x.astype(jnp.float32)
        half = width // 2  # a power of two
        other = jnp.where((lane & half) == 0, pltpu.roll(x, LANES - half, 1), pltpu.roll(x, half, 1))
        return (x * cos_ref[...] + other * sin_ref[...]).astype(dtype)

    taken = []
    # Heads are not cut out of lanes that they share: of queries the others are set to zero, which takes no longer.
    for start in range(0, q.shape[-1], LANES):
        some = slice(start, start + LANES)
        q_some, k_some, v_some = q[:, some], k[:, some], v[:, some]
        if angles:
            q_some, k_some = turned(q_some, *angles[:2]), turned(k_some, *angles[2:])
        y = jnp.zeros(q_some.shape, jnp.float32)
        for head in range(LANES // width):
            own = (lane >= head * width) & (lane < (head + 1) * width)
            logits = _product(jnp.where(own, q_some, jnp.zeros_like(q_some)), k_some, of_second=1)
            logits = jnp.where(counts_QxT, logits, jnp.finfo(jnp.float32).min)
            weights_QxT = jnp.exp(logits - jnp.max(logits, axis=1, keepdims=True))
            weights_QxT = weights_QxT / jnp.sum(weights_QxT, axis=1, keepdims=True)
            y = jnp.where(own, _product(weights_QxT.astype(dtype), v_some), y)
        taken.append(jnp.where(any_QxL, y, 0.0).astype(dtype))
    return jnp.concatenate(taken, axis=1)


def _normed(x: Float[Array, "t d"], scale_ref: Any, epsilon: float, dtype: DTypeLike) -> Float[Array, "t d"]:
    mean_square = jnp.mean(jnp.square(x), axis=-1, keepdims=True)
    return (x * jax.lax.rsqrt(mean_square + epsilon) * scale_ref[...].astype(x.dtype)).astype(dtype)


def _counts(visible_ref: Any, keys_ref: Any) -> tuple[Bool[Array, "q t"], Bool[Array, "q 1"]]:
    """Which keys each query takes from, and whether there are any."""
    counts_QxT = visible_ref[...].astype(jnp.int32) * keys_ref[0].astype(jnp.int32)
    return counts_QxT > 0, jnp.max(counts_QxT, axis=1, keepdims=True) > 0


def _product(first: Array, second: Array, of_second: int = 0) -> Float[Array, "rows columns"]:
    """Over the last axis of the first and this axis of the second, in float32."""
    # The kernel's compiler has these two alone. Products of bfloat16 are exact with either, which it refuses to hear.
    asked = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
    fast = first.dtype != jnp.float32 or asked in FAST_PRECISIONS
    return jax.lax.dot_general(
        first,
        second,
        (((1,), (of_second,)), ((), ())),
        precision=jax.lax.Precision.DEFAULT if fast else jax.lax.Precision.HIGHEST,
        preferred_element_type=jnp.float32,
    )
