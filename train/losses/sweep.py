"""Every pair of two sets of rows, of which each device holds a part, met tile by tile."""

from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import PyTree

Visit = Callable[[PyTree, PyTree, PyTree, PyTree], tuple[PyTree, PyTree]]


def sweep(
    visit: Visit,
    rows: PyTree,
    row_sums: PyTree,
    columns: PyTree,
    column_sums: PyTree,
    *,
    size: int,
    tile: int,
    axes: tuple[str, ...],
    shards: int,
) -> tuple[PyTree, PyTree]:
    """Lets every row meet every column once, on the devices of a ring (inside jax.shard_map).

    Rows stay; columns and their sums go round the ring, so that after `shards` hops both are home again. They travel
    tile by tile: a tile leaves as soon as all rows have met it, and its successor takes its place, so that the ring
    needs no second buffer, and sending overlaps with computing.

    Args:
        visit: (rows, their sums, columns, their sums) → (sums of the rows, sums of the columns), of one tile.
        rows: Arrays with `size` rows on every device.
        row_sums: What has been summed for each row; arrays as well.
        columns: Arrays with `size` rows on every device.
        column_sums: What has been summed for each column.
        size: Rows on one device.
        tile: Most rows and columns that meet at a time.
        axes: Mesh axes that the ring runs through, major first.
        shards: Devices of the ring.

    Returns:
        The sums of the rows and of the columns of this device.
    """
    to_next = [(device, (device + 1) % shards) for device in range(shards)]

    def send(tree: PyTree) -> PyTree:
        return tree if shards == 1 else jax.tree.map(lambda x: jax.lax.ppermute(x, axes, to_next), tree)

    def meet_columns(start: Any, length: int, carry: PyTree) -> PyTree:
        row_sums, columns, column_sums = carry
        column = _cut(columns, start, length)

        def meet_rows(start: Any, length: int, carry: PyTree) -> PyTree:
            row_sums, column_sum = carry
            sums, column_sum = visit(_cut(rows, start, length), _cut(row_sums, start, length), column, column_sum)
            return _paste(row_sums, sums, start), column_sum

        row_sums, column_sum = _over_tiles(meet_rows, size, tile, (row_sums, _cut(column_sums, start, length)))
        columns = _paste(columns, send(column), start)
        return row_sums, columns, _paste(column_sums, send(column_sum), start)

    def hop(_: Any, carry: PyTree) -> PyTree:
        return _over_tiles(meet_columns, size, tile, carry)

    row_sums, _, column_sums = jax.lax.fori_loop(0, shards, hop, (row_sums, columns, column_sums))
    return row_sums, column_sums


def _over_tiles(body: Callable[[Any, int, PyTree], PyTree], size: int, tile: int, carry: PyTree) -> PyTree:
    """`carry = body(start, length, carry)` for tiles of almost equal length; the last may be shorter."""
    length = -(-size // -(-size // tile))
    whole, rest = divmod(size, length)
    carry = jax.lax.fori_loop(0, whole, lambda number, carry: body(number * length, length, carry), carry)
    return body(whole * length, rest, carry) if rest else carry


def _cut(tree: PyTree, start: Any, length: int) -> PyTree:
    return jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, start, length), tree)


def _paste(tree: PyTree, part: PyTree, start: Any) -> PyTree:
    return jax.tree.map(lambda x, y: jax.lax.dynamic_update_slice_in_dim(x, y, start, axis=0), tree, part)
