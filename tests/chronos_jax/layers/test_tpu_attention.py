"""The kernel run as plain operations, against attention as XLA does it; test_arrangement.py has the whole encoder."""

import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tpu import tpu_environment

from chronos_jax.layers.attention import MultiHeadAttention, masked_softmax
from chronos_jax.layers.rotary import Rotary, rotary_angles, rotate
from chronos_jax.layers.tpu_attention import TpuAttention
from chronos_jax.sharding import make_mesh

ROOT = Path(__file__).parents[3]
HEADS, WIDTH, D_MODEL = 8, 32, 48  # twice as many heads as fill the lanes
KIND = "TPU v5 lite"


def layer(dtype=jnp.float32, num_heads=HEADS, width=WIDTH, d_model=D_MODEL):
    """A norm and an attention whose logits are a few units large."""
    attention = MultiHeadAttention(d_model, num_heads, width, dtype=dtype, rngs=nnx.Rngs(0))
    norm = nnx.RMSNorm(d_model, epsilon=1e-3, param_dtype=dtype, use_fast_variance=False, rngs=nnx.Rngs(0))
    norm.scale[...] = jnp.linspace(0.5, 1.5, d_model, dtype=dtype)
    return norm, attention


def arrays(blocks, queries, keys):
    """Blocks of the stream, those that ask, keys that count, and what is seen: nothing by the first."""
    generator = np.random.default_rng(queries * keys)
    x = jnp.asarray(generator.standard_normal((blocks, keys, D_MODEL)), jnp.float32)
    counts = jnp.asarray(generator.random((blocks, keys)) < 0.7)
    visible = generator.random((queries, keys)) < 0.5
    visible[0] = False
    return x, None if queries == keys else x[:, -queries:], counts, visible


def expected(norm, attention, x, asking, counts, visible, rotary=None):
    asking = x if asking is None else asking
    q, k, v = (
        projection(norm(rows)).reshape(*rows.shape[:2], attention.num_heads, -1)
        for projection, rows in ((attention.q, asking), (attention.k, x), (attention.v, x))
    )
    if rotary is not None:
        q, k = rotate(q, rotary[0]), rotate(k, rotary[1])
    logits = jnp.einsum("nqhd,nkhd->nhqk", q, k, preferred_element_type=jnp.float32)
    weights = masked_softmax(logits, jnp.asarray(visible)[None, None] & counts[:, None, None])
    y = jnp.einsum("nhqk,nkhd->nqhd", weights.astype(v.dtype), v)
    return asking + attention.o(y.reshape(*asking.shape[:2], -1))


def computed(kernel, norm, attention, x, asking, counts, visible, rotary=None):
    return kernel(norm, attention, x, counts, visible_QxT=visible, rotary=rotary, asking_NxQxD=asking)


@pytest.mark.parametrize(("queries", "keys"), [(24, 24), (3, 24), (260, 260)])
@pytest.mark.parametrize("rotated", [False, True])
def test_it_is_masked_attention(queries, keys, rotated):
    inputs = *layer(), *arrays(2, queries, keys)
    rotary = None
    if rotated:
        angles = rotary_angles(keys, WIDTH, 100.0)
        rotary = Rotary(*(x[-queries:] for x in angles)), angles
    ours, x = computed(TpuAttention(KIND, interpret=True), *inputs, rotary), inputs[2]
    np.testing.assert_allclose(ours, expected(*inputs, rotary), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(ours[:, 0], x[:, -queries], "a query that sees nothing takes nothing")
    assert np.abs(ours - x[:, -queries:])[:, 1:].max() > 1


@pytest.mark.parametrize("shape", [None, {"data": 2, "fsdp": 2, "tensor": 2}])
def test_positions_that_see_themselves_alone_are_not_weighed(shape):
    norm, attention = layer()
    x, _, counts, _ = arrays(8, 24, 24)
    kernel = TpuAttention(KIND, None if shape is None else make_mesh(shape), interpret=True)

    def ours(x):
        return computed(kernel, norm, attention, x, None, counts, np.eye(24, dtype=bool))

    np.testing.assert_allclose(jax.jit(ours)(x), x + attention.alone(norm(x), counts), rtol=1e-5, atol=1e-5)
    assert " exp " not in str(jax.make_jaxpr(ours)(x))


@pytest.mark.parametrize("width", [8, 64, 128])
def test_heads_of_every_width_that_fills_the_lanes(width):
    inputs = *layer(num_heads=256 // width, width=width), *arrays(2, 24, 24)
    rotary = (rotary_angles(24, width, 100.0),) * 2
    ours = computed(TpuAttention(KIND, interpret=True), *inputs, rotary)
    np.testing.assert_allclose(ours, expected(*inputs, rotary), rtol=1e-5, atol=1e-5)


def test_bfloat16_is_that_of_xla():
    inputs = arrays(2, 24, 24)
    exact = expected(*layer(), *inputs)
    errors = [
        np.square(np.asarray(run(*layer(jnp.bfloat16), *inputs)) - exact).mean()
        for run in (partial(computed, TpuAttention(KIND, interpret=True)), expected)
    ]
    assert 0 < errors[0] < 1.2 * errors[1]


@pytest.mark.parametrize(
    ("asked", "dtype", "given"),
    [
        (None, jnp.float32, "DEFAULT"),
        ("bfloat16", jnp.float32, "DEFAULT"),
        ("high", jnp.float32, "HIGHEST"),
        ("highest", jnp.float32, "HIGHEST"),
        ("highest", jnp.bfloat16, "DEFAULT"),
    ],
)
def test_precision_is_what_jax_is_told(asked, dtype, given):
    inputs = *layer(dtype), *arrays(2, 24, 24)
    with jax.default_matmul_precision(asked):
        traced = str(
            jax.make_jaxpr(lambda x: computed(TpuAttention(KIND, interpret=True), *inputs[:2], x, *inputs[3:]))(
                inputs[2]
            )
        )
    assert set(re.findall(r"precision=\(?(?:Precision\.)?(\w+)", traced)) == {given}


PUBLISHED = {"d_model": 768, "num_heads": 12, "d_head": 64, "dtype": jnp.bfloat16}


def test_what_it_cannot_take_is_told_beforehand():
    alone, shared = TpuAttention(KIND), TpuAttention(KIND, make_mesh({"data": 4, "tensor": 2}))
    assert alone.fits(3, 768, **PUBLISHED)
    assert not alone.fits(3, 769, **PUBLISHED), "too many positions"
    assert not alone.fits(3, 8, **PUBLISHED | {"d_head": 48}), "heads across lanes"
    assert not alone.fits(3, 8, **PUBLISHED | {"num_heads": 3}), "lanes without heads"
    assert shared.fits(4, 768, **PUBLISHED)
    assert not shared.fits(3, 8, **PUBLISHED), "groups that cannot be split"
    assert not shared.fits(4, 8, **PUBLISHED | {"num_heads": 6}), "lanes without heads on each device"
    assert not shared.fits(4, 8, **PUBLISHED | {"num_heads": 3}), "heads that cannot be split"


@pytest.mark.parametrize(
    ("kind", "dtype", "most"),
    [
        ("TPU v4", jnp.bfloat16, 240),
        ("TPU v4", jnp.float32, 128),
        ("TPU v5", jnp.float32, 768),
        ("new", jnp.float32, 128),
    ],
)
def test_what_the_memory_beside_the_core_holds(kind, dtype, most):
    kernel, sizes = TpuAttention(kind), PUBLISHED | {"dtype": dtype}
    assert kernel.fits(1, most, **sizes)
    assert not kernel.fits(1, most + 60, **sizes)


@pytest.mark.parametrize("queries", [24, 3])
def test_what_it_says_of_its_work(queries):
    norm, attention = layer()
    x, asking, counts, visible = arrays(2, queries, 24)
    kernel = TpuAttention(KIND, interpret=True)

    def declared(visible):
        program = jax.make_jaxpr(lambda x: computed(kernel, norm, attention, x, asking, counts, visible))(x)
        (call,) = (equation for equation in program.eqns if equation.primitive.name == "pallas_call")
        return call.params["cost_estimate"]

    rows, channels = 2 * queries, HEADS * WIDTH
    projections = 2 * (2 * rows + 2 * 2 * 24) * D_MODEL * channels
    assert declared(visible).flops == projections + 4 * rows * 24 * channels
    assert declared(visible).transcendentals == rows * 24 * HEADS
    if asking is None:
        assert declared(np.eye(24, dtype=bool)).flops == projections // 2


@pytest.mark.parametrize("shape", [{"data": 8}, {"data": 2, "fsdp": 2, "tensor": 2}])
@pytest.mark.parametrize("queries", [24, 3])
def test_blocks_and_heads_are_split_over_a_mesh(shape, queries):
    inputs = *layer(), *arrays(8, queries, 24)
    angles = rotary_angles(24, WIDTH, 100.0)
    rotary = Rotary(*(x[-queries:] for x in angles)), angles
    kernel = TpuAttention(KIND, make_mesh(shape), interpret=True)
    norm, attention, x, asking, *rest = inputs
    ours = jax.jit(lambda x, asking: computed(kernel, norm, attention, x, asking, *rest, rotary))(x, asking)
    np.testing.assert_allclose(ours, expected(*inputs, rotary), rtol=1e-5, atol=1e-5)


COMPILE = """
import jax, jax.numpy as jnp
from flax import nnx
from chronos_jax.checkpoints.weights import nest
from chronos_jax.chronos2.config import Chronos2Config
from chronos_jax.chronos2.params import weight_table
from chronos_jax.chronos2.runner import Structure, abstract_model
from chronos_jax.sharding import make_mesh, named_sharding
from train.compilation.topology import topology_devices


def count(topology, mesh_shape, config, dtype, shape, patches):
    devices = topology_devices(topology)
    mesh = make_mesh(mesh_shape, devices)
    graphdef, state = nnx.split(abstract_model(config, dtype, mesh, devices[0]))
    shardings = nest((weight, named_sharding(mesh, weight.axes)) for weight in weight_table(config))
    params = jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), nnx.to_pure_dict(state), shardings
    )
    structure = Structure(graphdef)
    context = jax.ShapeDtypeStruct(shape, jnp.float32, sharding=named_sharding(mesh, ("batch",)))
    forecast = jax.jit(lambda params, x: structure.model(params)(x, num_output_patches=patches))
    kernels = forecast.lower(params, context).compile().as_text().count('"tpu_custom_call"')
    print("kernels", topology, mesh_shape, dtype.__name__, *shape, kernels, flush=True)


config = Chronos2Config(d_model=256, d_kv=64, d_ff=512, num_layers=2, num_heads=4)
# Several groups in a block; a series in a block, with positions gathered between series; the longest context; a group
# as large as a block may be; a series of its own, one position of which is read.
cases = ((64, 5, 64), 2), ((8, 5, 1024), 4), ((8, 1, 8192), 64), ((8, 768, 16), 1), ((8, 1, 16), 1)
for shape, patches in cases:
    count("v5e:2x4", {"data": 8}, config, jnp.float32, shape, patches)
    count("v5e:2x4", {"data": 8}, config, jnp.bfloat16, shape, patches)
for shape, patches in cases[:2]:
    count("v5e:2x4", {"data": 4, "tensor": 2}, config, jnp.bfloat16, shape, patches)
# Precisions that the kernel's compiler does not know.
for dtype in jnp.float32, jnp.bfloat16:
    with jax.default_matmul_precision("high"):
        count("v5e:2x4", {"data": 8}, config, dtype, (64, 5, 64), 2)
# The least memory beside a core, which the published weights in float32 fill; a long context does not fit.
published = Chronos2Config(d_model=768, d_kv=64, d_ff=3072, num_layers=2, num_heads=12)
count("v4:2x2x1", {"data": 4}, published, jnp.float32, (4, 5, 320), 2)
count("v4:2x2x1", {"data": 4}, published, jnp.float32, (4, 5, 640), 2)
count("v4:2x2x1", {"data": 4}, published, jnp.float32, (4, 1, 8192), 2)
"""


@pytest.mark.tpu_compile
def test_the_compiler_for_tpus_takes_it():
    run = subprocess.run(
        [sys.executable, "-c", COMPILE], cwd=ROOT, env=tpu_environment(), capture_output=True, text=True, timeout=900
    )
    assert run.returncode == 0, run.stderr[-3000:]
    kernels = [int(line.split()[-1]) for line in run.stdout.splitlines() if line.startswith("kernels")]
    # A time attention in the loop and one behind it; as many between series, or for each on its own.
    assert kernels == [4] * 15 + [0, 0], run.stdout
