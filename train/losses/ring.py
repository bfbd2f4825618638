"""Sums over every pair of a batch that is spread over devices, of which none ever holds more than a tile of pairs.

**Forward.** The windows of a device stay; the texts go round the ring of devices, and their columns' sums with them
(`train.losses.sweep`). When they are home again all sums are complete. Losses are made of them by ordinary operations
on vectors, which JAX differentiates by itself, up to the derivatives by the sums.

**Backward.** From these and the sums, `Pairs.slopes` gives for every pair the derivative g_ij by its cosine, so the
texts go round once more. Since cos_ij = s_i · t_j,

    ds_i = Σ_j g_ij t_j     dt_j = Σ_i g_ij s_i

and the derivatives by scale and bias are sums of every pair's share. ds_i and the rows' shares add up where the window
is; dt_j travels with its text, gathers a part on every device that it comes by, and arrives complete. Of the forward
pass nothing is kept but its inputs and the sums: cosines are computed twice, which makes four products of B·B·D instead
of three.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, PyTree

from chronos_jax.sharding import LOGICAL_AXES, batch_shards, partition_spec
from train.losses.interface import Matches, fitting
from train.losses.pairs import Pairs, Sums, Tile
from train.losses.sweep import Visit, sweep


@dataclass(frozen=True)
class Ring:
    """The devices that a batch is spread over, and how much of its matrix they look at at a time."""

    mesh: Mesh
    tile: int | None  # most windows and texts that meet at a time; None: all of one device with all of another

    @property
    def axes(self) -> tuple[str, ...]:
        """The mesh axes that the ring runs through."""
        axes = LOGICAL_AXES["batch"]
        return (axes,) if isinstance(axes, str) else axes or ()

    def run(self, on_device: Callable[..., PyTree], rows: PyTree, columns: PyTree, *scalars: Array) -> PyTree:
        """`on_device(rows, columns, *scalars)` with each device's part; what it returns has a row for each row."""
        shards, size = batch_shards(self.mesh), len(jax.tree.leaves(rows)[0])
        if size % shards:
            raise ValueError(
                f"a batch of {size} does not split evenly over the mesh {dict(self.mesh.shape)}: "
                f"its size must be a multiple of {shards}"
            )
        batch, everywhere = partition_spec(("batch",)), partition_spec(())
        specs = (batch, batch, *[everywhere] * len(scalars))
        return jax.shard_map(on_device, mesh=self.mesh, in_specs=specs, out_specs=batch)(rows, columns, *scalars)

    def sweep(
        self, visit: Visit, rows: PyTree, row_sums: PyTree, columns: PyTree, column_sums: PyTree
    ) -> tuple[PyTree, PyTree]:
        """`train.losses.sweep` over this ring; within `run`, with sums that begin alike on every device."""
        size = len(jax.tree.leaves(rows)[0])
        row_sums, column_sums = jax.lax.pcast((row_sums, column_sums), self.axes, to="varying")
        return sweep(
            visit,
            rows,
            row_sums,
            columns,
            column_sums,
            size=size,
            tile=min(self.tile or size, size),
            axes=self.axes,
            shards=batch_shards(self.mesh),
        )


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def pair_sums(
    pairs: Pairs,
    ring: Ring,
    sensor_BxD: Float[Array, "b d"],
    text_BxD: Float[Array, "b d"],
    scale: Float[Array, ""],
    bias: Float[Array, ""],
    matches: Matches,
) -> tuple[Sums, Sums]:
    """The sums of a whole batch.

    Args:
        pairs: The loss that they are for.
        ring: Where the batch lies.
        sensor_BxD: Unit embeddings of the windows; B is a multiple of the devices of the ring.
        text_BxD: Unit embeddings of the texts.
        scale: Factor of the cosines.
        bias: What is added to them then.
        matches: Which text fits which window.

    Returns:
        The sums of the rows and of the columns. Derivatives are first-order and flow through their terms alone.
    """

    def on_device(rows: PyTree, columns: PyTree, scale: Array, bias: Array) -> tuple[Sums, Sums]:
        def visit(row: PyTree, row_sums: Sums, column: PyTree, column_sums: Sums) -> tuple[Sums, Sums]:
            (sensor_RxD, own_RxC), (text_SxD, ids_S) = row, column
            tile = _tile(sensor_RxD, own_RxC, text_SxD, ids_S, scale, bias)
            return pairs.add(tile, row_sums, column_sums)

        row_sums, column_sums = pairs.start(len(rows[0]))
        return ring.sweep(visit, rows, row_sums, columns, column_sums)

    rows, columns = (sensor_BxD, matches.own_texts_BxC), (text_BxD, matches.text_ids_B)
    return ring.run(on_device, rows, columns, scale, bias)


class _ByRows(NamedTuple):
    """What adds up where the windows are: derivatives by them, and their shares of those by scale and bias."""

    sensor_RxD: Float[Array, "r d"]
    scale_R: Float[Array, " r"]
    bias_R: Float[Array, " r"]


def _forward(pairs: Pairs, ring: Ring, *inputs: Any) -> tuple[tuple[Sums, Sums], tuple[Any, ...]]:
    sums = pair_sums(pairs, ring, *inputs)
    return sums, (*inputs, *sums)


def _backward(pairs: Pairs, ring: Ring, kept: tuple[Any, ...], by_sums: tuple[Sums, Sums]) -> tuple[Any, ...]:
    sensor_BxD, text_BxD, scale, bias, matches, row_sums, column_sums = kept

    def on_device(rows: PyTree, columns: PyTree, scale: Array, bias: Array) -> tuple[_ByRows, Array]:
        def visit(row: PyTree, by_rows: _ByRows, column: PyTree, by_text_SxD: Array) -> tuple[_ByRows, Array]:
            (sensor_RxD, own_RxC, *row_sums), (text_SxD, ids_S, *column_sums) = row, column
            tile = _tile(sensor_RxD, own_RxC, text_SxD, ids_S, scale, bias)
            slopes = pairs.slopes(tile, *row_sums, *column_sums)
            by_rows = _ByRows(
                by_rows.sensor_RxD + slopes.cosine_RxS @ text_SxD,
                by_rows.scale_R + slopes.scale_RxS.sum(axis=1),
                by_rows.bias_R + slopes.bias_RxS.sum(axis=1),
            )
            return by_rows, by_text_SxD + slopes.cosine_RxS.T @ sensor_RxD

        zeros_RxD, zeros_R = jnp.zeros(rows[0].shape), jnp.zeros(len(rows[0]))
        return ring.sweep(visit, rows, _ByRows(zeros_RxD, zeros_R, zeros_R), columns, zeros_RxD)

    by_row_terms, by_column_terms = (sums.terms for sums in by_sums)
    rows = (sensor_BxD, matches.own_texts_BxC, row_sums, by_row_terms)
    columns = (text_BxD, matches.text_ids_B, column_sums, by_column_terms)
    by_rows, by_text_BxD = ring.run(on_device, rows, columns, scale, bias)
    return by_rows.sensor_RxD, by_text_BxD, by_rows.scale_R.sum(), by_rows.bias_R.sum(), None


pair_sums.defvjp(_forward, _backward)


def _tile(
    sensor_RxD: Float[Array, "r d"],
    own_texts_RxC: Int[Array, "r c"],
    text_SxD: Float[Array, "s d"],
    text_ids_S: Int[Array, " s"],
    scale: Float[Array, ""],
    bias: Float[Array, ""],
) -> Tile:
    return Tile(sensor_RxD @ text_SxD.T, fitting(own_texts_RxC, text_ids_S), scale, bias)
