"""The kernel run as plain operations, against attention as XLA does it; test_arrangement.py has the whole encoder."""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tpu import tpu_environment

from chronos_jax.layers.attention import masked_softmax
from chronos_jax.layers.rotary import Rotary, rotary_angles, rotate
from chronos_jax.layers.tpu_attention import TpuAttention
from chronos_jax.sharding import make_mesh

ROOT = Path(__file__).parents[3]
HEADS, WIDTH = 8, 32  # twice as much as the lanes hold


def arrays(blocks, queries, keys, dtype=jnp.float32):
    generator = np.random.default_rng(queries * keys)
    shapes = ((blocks, n, HEADS * WIDTH) for n in (queries, keys, keys))
    q, k, v = (jnp.asarray(generator.standard_normal(shape) / 2, dtype) for shape in shapes)
    counts = jnp.asarray(generator.random((blocks, keys)) < 0.7)
    visible = generator.random((queries, keys)) < 0.5
    visible[0] = False
    return q, k, v, counts, visible


def expected(q, k, v, counts, visible, rotary=None):
    q, k, v = (x.reshape(*x.shape[:2], HEADS, WIDTH) for x in (q, k, v))
    if rotary is not None:
        q, k = rotate(q, rotary[0]), rotate(k, rotary[1])
    logits = jnp.einsum("nqhd,nkhd->nhqk", q, k, preferred_element_type=jnp.float32)
    weights = masked_softmax(logits, jnp.asarray(visible)[None, None] & counts[:, None, None])
    y = jnp.einsum("nhqk,nkhd->nqhd", weights.astype(v.dtype), v)
    return y.reshape(*y.shape[:2], -1)


@pytest.mark.parametrize(("queries", "keys"), [(24, 24), (3, 24), (260, 260)])  # the last: programs of a few heads each
@pytest.mark.parametrize("rotated", [False, True])
def test_it_is_masked_attention(queries, keys, rotated):
    *tensors, visible = arrays(2, queries, keys)
    rotary = None
    if rotated:
        angles = rotary_angles(keys, WIDTH, 100.0)
        rotary = Rotary(*(x[-queries:] for x in angles)), angles
    ours = TpuAttention(interpret=True)(*tensors, visible_QxT=visible, num_heads=HEADS, rotary=rotary)
    np.testing.assert_allclose(ours, expected(*tensors, visible, rotary), rtol=1e-5, atol=1e-6)
    assert not np.any(ours[:, 0]), "a query that sees nothing takes nothing"


def test_bfloat16_is_that_of_xla():
    *tensors, visible = arrays(2, 24, 24, jnp.bfloat16)
    ours = TpuAttention(interpret=True)(*tensors, visible_QxT=visible, num_heads=HEADS)
    assert ours.dtype == jnp.bfloat16
    np.testing.assert_allclose(
        ours.astype(jnp.float32), expected(*tensors, visible).astype(jnp.float32), rtol=2e-2, atol=1e-2
    )


def test_what_it_cannot_take_is_told_beforehand():
    alone, shared = TpuAttention(), TpuAttention(make_mesh({"data": 2, "tensor": 4}))
    assert alone.fits(groups=3, positions=768, num_heads=12, width=64)
    assert not alone.fits(groups=3, positions=769, num_heads=12, width=64), "too many positions"
    assert not alone.fits(groups=3, positions=257, num_heads=12, width=48), "heads that do not fill the lanes"
    assert shared.fits(groups=4, positions=256, num_heads=12, width=64)
    assert not shared.fits(groups=4, positions=257, num_heads=12, width=64), "three heads a device"
    assert not shared.fits(groups=3, positions=8, num_heads=12, width=64), "groups that cannot be split"
    assert not shared.fits(groups=4, positions=8, num_heads=6, width=64), "heads that cannot be split"


@pytest.mark.parametrize("shape", [{"data": 8}, {"data": 2, "fsdp": 2, "tensor": 2}])
def test_blocks_and_heads_are_split_over_a_mesh(shape):
    *tensors, visible = arrays(8, 24, 24)
    rotary = (rotary_angles(24, WIDTH, 100.0),) * 2
    kernel = TpuAttention(make_mesh(shape), interpret=True)
    ours = jax.jit(lambda *x: kernel(*x, visible_QxT=visible, num_heads=HEADS, rotary=rotary))(*tensors)
    np.testing.assert_allclose(ours, expected(*tensors, visible, rotary), rtol=1e-5, atol=1e-6)


COMPILE = """
import jax, jax.numpy as jnp
from flax import nnx
from chronos_jax.checkpoints.weights import nest
from chronos_jax.chronos2.config import Chronos2Config
from chronos_jax.chronos2.params import weight_table
from chronos_jax.chronos2.runner import Structure, abstract_model
from chronos_jax.sharding import make_mesh, named_sharding
from train.compilation.topology import topology_devices

devices = topology_devices("v5e:2x4")
config = Chronos2Config(d_model=256, d_kv=64, d_ff=512, num_layers=2, num_heads=4)
for mesh in make_mesh({"data": 8}, devices), make_mesh({"data": 4, "tensor": 2}, devices):
    for dtype in jnp.float32, jnp.bfloat16:
        # Several groups in a block; a series in a block, with positions gathered between series; the longest context.
        # And a group as large as a block may be.
        for shape, patches in ((64, 5, 64), 2), ((8, 5, 1024), 4), ((8, 1, 8192), 64), ((8, 768, 16), 1):
            graphdef, state = nnx.split(abstract_model(config, dtype, mesh, "tpu"))
            shardings = nest((weight, named_sharding(mesh, weight.axes)) for weight in weight_table(config))
            params = jax.tree.map(
                lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), nnx.to_pure_dict(state), shardings
            )
            structure = Structure(graphdef)
            context = jax.ShapeDtypeStruct(shape, jnp.float32, sharding=named_sharding(mesh, ("batch",)))
            forecast = jax.jit(lambda params, x: structure.model(params)(x, num_output_patches=patches))
            kernels = forecast.lower(params, context).compile().as_text().count('"tpu_custom_call"')
            print(mesh.shape["tensor"], dtype.__name__, *shape, kernels, flush=True)
"""


@pytest.mark.tpu_compile
def test_the_compiler_for_tpus_takes_it():
    run = subprocess.run(
        [sys.executable, "-c", COMPILE], cwd=ROOT, env=tpu_environment(), capture_output=True, text=True, timeout=900
    )
    assert run.returncode == 0, run.stderr[-3000:]
    lines = [line.split() for line in run.stdout.splitlines() if line[:1] in "12"]
    assert len(lines) == 16
    # A time attention in the loop and one behind it; as many between series, where there are any.
    assert all(int(kernels) == (2 if variates == "1" else 4) for *_, variates, _, kernels in lines), run.stdout
