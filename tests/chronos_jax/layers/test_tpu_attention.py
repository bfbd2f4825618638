"""The kernel run as plain operations, against attention as XLA does it; test_arrangement.py has the whole encoder."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from chronos_jax.layers.attention import masked_softmax
from chronos_jax.layers.rotary import Rotary, rotary_angles, rotate
from chronos_jax.layers.tpu_attention import TpuAttention
from chronos_jax.sharding import make_mesh

HEADS, WIDTH = 4, 32


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


@pytest.mark.parametrize("shape", [{"data": 8}, {"data": 2, "fsdp": 2, "tensor": 2}])
def test_blocks_and_heads_are_split_over_a_mesh(shape):
    *tensors, visible = arrays(8, 24, 24)
    rotary = (rotary_angles(24, WIDTH, 100.0),) * 2
    kernel = TpuAttention(make_mesh(shape), interpret=True)
    ours = jax.jit(lambda *x: kernel(*x, visible_QxT=visible, num_heads=HEADS, rotary=rotary))(*tensors)
    np.testing.assert_allclose(ours, expected(*tensors, visible, rotary), rtol=1e-5, atol=1e-6)
