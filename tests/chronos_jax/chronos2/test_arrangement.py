"""The encoder in blocks, as a TPU has it, against the encoder as everything else has it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from reference import walks

from chronos_jax.chronos2.arrangement import Blocks
from chronos_jax.chronos2.modeling import Chronos2Model
from chronos_jax.chronos2.random_weights import SIZES, random_params
from chronos_jax.chronos2.runner import with_params
from chronos_jax.layers.rotary import rotary_angles
from chronos_jax.layers.tpu_attention import TpuAttention
from chronos_jax.sharding import make_mesh

WIDE = SIZES["tiny"].model_copy(update={"d_kv": 32, "num_heads": 8})  # more heads than fill the lanes
KERNEL = TpuAttention("TPU v5 lite", interpret=True)


def model(config, kernel=None, dtype=jnp.float32):
    params = random_params(config, 0)
    made = nnx.eval_shape(lambda: Chronos2Model(config, dtype=dtype, rngs=nnx.Rngs(0), kernel=kernel))
    return with_params(made, jax.tree.map(lambda x: x.astype(dtype), params))


def run(model, method, *arrays, **options):
    graphdef, state = nnx.split(model)
    return jax.jit(
        lambda state, context, mask: getattr(nnx.merge(graphdef, state), method)(
            context, variate_mask_GxV=mask, **options
        )
    )(state, *arrays)


def groups_of(groups, variates, steps):
    """Some of it missing, and groups that are filled up; nothing is observed of one series, and one group is empty."""
    context, mask = walks(groups, variates, steps), np.ones((groups, variates), bool)
    context[0, 0, : steps // 2] = np.nan
    context[-1, 0] = np.nan
    mask[1] = False
    mask[0, 1:] = variates < 2
    return context, mask


def assert_close(ours, dense, counts, tolerance=5e-6):
    ours, dense = (np.asarray(x, np.float32)[counts] for x in (ours, dense))
    assert np.isfinite(ours).all()
    np.testing.assert_allclose(ours, dense, rtol=0, atol=tolerance * np.abs(dense).max())


@pytest.mark.parametrize(
    ("groups", "variates", "steps", "patches", "series"),
    [
        (6, 1, 256, 4, 6),  # 21 positions: six series in a block
        (4, 3, 64, 2, 12),  # 21 positions a group: all four in a block
        (3, 5, 256, 4, 5),  # 105 positions: a group in a block
        (2, 5, 900, 2, 1),  # too many: a series in a block, and positions gathered for the attention between series
        (2, 1, 300, 1, 2),
        (2, 12, 350, 2, 4),  # a third of a group in a block
    ],
)
def test_blocks_give_what_the_dense_arrangement_gives(groups, variates, steps, patches, series):
    positions = -(-steps // WIDE.patch_size) + 1 + patches
    rotary = rotary_angles(positions, 4, 1.0)
    blocks = Blocks.of(KERNEL, WIDE, jnp.float32, jnp.ones((groups, variates, positions), bool), rotary)
    assert blocks.series == series
    arrays = groups_of(groups, variates, steps)
    ours, dense = (run(model(WIDE, k), "__call__", *arrays, num_output_patches=patches) for k in (KERNEL, None))
    assert_close(ours, dense, arrays[1])


@pytest.mark.parametrize(
    "options", [{}, {"layer": 1}, {"layer": 0}, {"positions": slice(3)}, {"positions": slice(3, 4), "layer": 2}]
)
def test_hidden_states_of_blocks(options):
    arrays = groups_of(4, 3, 48)
    ours, dense = (run(model(WIDE, k), "encode", *arrays, **options) for k in (KERNEL, None))
    np.testing.assert_array_equal(ours.mask_GxVxS, dense.mask_GxVxS)
    counts = np.asarray(dense.mask_GxVxS)[:, :, options.get("positions", slice(None))]
    assert_close(ours.hidden_GxVxSxD, dense.hidden_GxVxSxD, counts)


def test_bfloat16_in_blocks_is_as_near_to_float32():
    arrays = groups_of(4, 9, 200)  # more keys than are taken by arithmetic, which rounds less
    exact = run(model(WIDE), "encode", *arrays)
    counts = np.asarray(exact.mask_GxVxS)
    errors = [
        np.square(
            np.asarray(run(model(WIDE, k, jnp.bfloat16), "encode", *arrays).hidden_GxVxSxD - exact.hidden_GxVxSxD)[
                counts
            ]
        ).mean()
        for k in (KERNEL, None)
    ]
    assert 0 < errors[0] < 1.2 * errors[1]


@pytest.mark.parametrize("shape", [{"data": 8}, {"data": 2, "fsdp": 2, "tensor": 2}])
@pytest.mark.parametrize("steps", [48, 900])  # the second: a series in a block, positions gathered between series
def test_blocks_on_a_mesh(shape, steps):
    arrays = groups_of(16, 2, steps)
    kernel = TpuAttention("TPU v5 lite", make_mesh(shape), interpret=True)
    ours, dense = (run(model(WIDE, k), "__call__", *arrays) for k in (kernel, None))
    assert_close(ours, dense, arrays[1])


def test_groups_that_cannot_be_split_over_the_devices_are_computed_densely():
    kernel = TpuAttention("TPU v5 lite", make_mesh({"data": 8}), interpret=True)
    arrays = groups_of(3, 2, 48)
    ours, dense = (run(model(WIDE, k), "__call__", *arrays) for k in (kernel, None))
    np.testing.assert_array_equal(ours, dense)
