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
from chronos_jax.layers.rotary import rotary_angles
from chronos_jax.layers.tpu_attention import TpuAttention
from chronos_jax.sharding import make_mesh

TINY = SIZES["tiny"]


@pytest.fixture(scope="module")
def params():
    return random_params(TINY, 0)


def model(params, kernel=None):
    made = nnx.eval_shape(lambda: Chronos2Model(TINY, rngs=nnx.Rngs(0), kernel=kernel))
    graphdef, state = nnx.split(made)
    nnx.replace_by_pure_dict(state, params)
    return graphdef, state


def forecast(model, *arrays, patches):
    graphdef, state = model
    return jax.jit(
        lambda state, context, mask: nnx.merge(graphdef, state)(
            context, variate_mask_GxV=mask, num_output_patches=patches
        )
    )(state, *arrays)


@pytest.mark.parametrize(
    ("groups", "variates", "steps", "patches", "series"),
    [
        (6, 1, 256, 4, 6),  # 21 positions: six series in a block
        (4, 3, 64, 2, 12),  # 21 positions a group: all four in a block
        (3, 5, 256, 4, 5),  # 105 positions: a group in a block
        (2, 5, 900, 2, 1),  # too many: a series in a block, and positions gathered for the attention between series
        (2, 1, 300, 1, 2),
    ],
)
def test_blocks_give_what_the_dense_arrangement_gives(params, groups, variates, steps, patches, series):
    context = walks(groups, variates, steps)
    context[0, 0, : steps // 2] = np.nan
    mask = np.ones((groups, variates), bool)
    if variates > 1:
        mask[-1, 1:] = False
    kernel = TpuAttention(interpret=True)
    positions = -(-steps // TINY.patch_size) + 1 + patches
    blocks = Blocks.of(kernel, jnp.ones((groups, variates, positions), bool), rotary_angles(positions, 4, 1.0))
    assert blocks.series == series
    ours = forecast(model(params, kernel), context, mask, patches=patches)
    dense = forecast(model(params), context, mask, patches=patches)
    spread = float(np.abs(np.asarray(dense)[mask]).max())
    np.testing.assert_allclose(np.asarray(ours)[mask], np.asarray(dense)[mask], rtol=0, atol=5e-6 * spread)


@pytest.mark.parametrize("shape", [{"data": 8}, {"data": 2, "fsdp": 2, "tensor": 2}])
def test_blocks_on_a_mesh(params, shape):
    mesh = make_mesh(shape)
    context, mask = walks(16, 2, 48), np.ones((16, 2), bool)
    ours = forecast(model(params, TpuAttention(mesh, interpret=True)), context, mask, patches=1)
    dense = forecast(model(params), context, mask, patches=1)
    np.testing.assert_allclose(ours, dense, rtol=0, atol=5e-6 * float(jnp.max(jnp.abs(dense))))


def test_groups_that_cannot_be_split_over_the_devices_are_computed_densely():
    kernel = TpuAttention(make_mesh({"data": 8}), interpret=True)
    assert Blocks.of(kernel, jnp.ones((3, 1, 5), bool), rotary_angles(5, 4, 1.0)) is None
