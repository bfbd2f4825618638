from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from chronos_jax.sharding import make_mesh, partition_spec
from train.losses.sweep import sweep

AXES = ("data", "fsdp")


@pytest.mark.parametrize(("shape", "tile"), [((2, 2, 2), 3), ((1, 8, 1), 7), ((1, 1, 1), 2), ((4, 1, 2), 5)])
def test_every_row_meets_every_column_once_and_sums_come_home(shape: tuple[int, ...], tile: int) -> None:
    mesh = make_mesh(dict(zip(("data", "fsdp", "tensor"), shape, strict=True)), jax.devices()[: np.prod(shape)])
    shards, size = shape[0] * shape[1], 7
    largest = 0

    def visit(rows, row_sums, columns, column_sums):
        nonlocal largest
        largest = max(largest, len(rows), len(columns))
        products = rows[:, None] * columns[None, :] + rows[:, None] + 7 * columns[None, :]
        return row_sums + products.sum(axis=1), column_sums + products.sum(axis=0)

    batch = partition_spec(("batch",))

    @jax.jit
    @partial(jax.shard_map, mesh=mesh, in_specs=batch, out_specs=batch)
    def run(rows, columns):
        zeros = jax.lax.pcast(jnp.zeros(size, jnp.int32), AXES, to="varying")
        return sweep(visit, rows, zeros, columns, zeros, size=size, tile=tile, axes=AXES, shards=shards)

    rows, columns = np.random.default_rng(0).integers(0, 1000, (2, shards * size)).astype(np.int32)
    row_sums, column_sums = run(rows, columns)
    products = rows[:, None] * columns[None, :] + rows[:, None] + 7 * columns[None, :]
    np.testing.assert_array_equal(row_sums, products.sum(axis=1))
    np.testing.assert_array_equal(column_sums, products.sum(axis=0))
    assert largest <= tile
