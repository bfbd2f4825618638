import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from chronos_jax.layers.attention import MultiHeadAttention, masked_softmax


@pytest.fixture(scope="module")
def attention():
    return MultiHeadAttention(8, num_heads=2, d_head=4, dtype=jnp.float32, rngs=nnx.Rngs(0))


@pytest.fixture(scope="module")
def x():
    return jnp.asarray(np.random.default_rng(0).standard_normal((3, 6, 8)), jnp.float32)


def test_masked_softmax_is_the_softmax_over_the_keys_that_count():
    logits = jnp.array([[[1.0, 2.0, 500.0]]])[None]
    weights = masked_softmax(logits, jnp.array([True, True, False])[None, None, None])
    np.testing.assert_allclose(weights[0, 0, 0], [*jax.nn.softmax(jnp.array([1.0, 2.0])), 0.0], rtol=1e-6)


def test_masked_softmax_is_zero_where_no_key_counts():
    weights = masked_softmax(jnp.ones((1, 2, 3, 4)), jnp.zeros((1, 1, 1, 4), bool))
    np.testing.assert_array_equal(weights, jnp.zeros((1, 2, 3, 4)))


def test_masked_keys_change_nothing(attention, x):
    keys = jnp.array([True, True, False, True, False, True])
    keys_BxS = jnp.broadcast_to(keys, (3, 6))
    changed = jnp.where(keys[None, :, None], x, 1e3)
    np.testing.assert_array_equal(attention(x, keys_BxS)[:, keys], attention(changed, keys_BxS)[:, keys])


def test_without_positions_attention_is_equivariant_to_order(attention, x):
    order = jnp.array([3, 1, 0, 5, 4, 2])
    keys = jnp.ones((3, 6), bool)
    np.testing.assert_allclose(attention(x[:, order], keys), attention(x, keys)[:, order], rtol=1e-5, atol=1e-6)


def test_there_is_no_scaling_of_the_logits(attention, x):
    q, k, v = (projection(x).reshape(3, 6, 2, 4) for projection in (attention.q, attention.k, attention.v))
    weights = jax.nn.softmax(jnp.einsum("bqhd,bkhd->bhqk", q, k), axis=-1)
    expected = attention.o(jnp.einsum("bhqk,bkhd->bqhd", weights, v).reshape(3, 6, 8))
    np.testing.assert_allclose(attention(x, jnp.ones((3, 6), bool)), expected, rtol=1e-5, atol=1e-6)


def test_a_position_alone_attends_to_itself_with_weight_one(attention, x):
    alone = x.reshape(18, 1, 8)
    keys = jnp.arange(18)[:, None] % 3 != 0
    np.testing.assert_allclose(attention.alone(alone, keys), attention(alone, keys), rtol=1e-6, atol=1e-7)


def test_the_weights_are_those_that_make_the_output(attention, x):
    keys = jnp.broadcast_to(jnp.array([True, True, False, True, False, True]), (3, 6))
    y, weights = attention.with_weights(x, keys)
    np.testing.assert_array_equal(y, attention(x, keys))
    assert weights.shape == (3, 2, 6, 6)
    assert weights.dtype == jnp.float32
    np.testing.assert_array_equal(weights[..., ~keys[0]], 0)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-6)
    mixed = jnp.einsum("bhqk,bkhd->bqhd", weights, attention.v(x).reshape(3, 6, 2, 4))
    np.testing.assert_allclose(y, attention.o(mixed.reshape(3, 6, 8)), rtol=1e-5, atol=1e-6)


def test_the_weights_of_positions_alone_are_one_where_they_count(attention, x):
    keys = jnp.arange(18)[:, None] % 3 != 0
    _, expected = attention.with_weights(x.reshape(18, 1, 8), keys)
    weights = attention.weights_alone(keys[:, 0])
    assert weights.shape == (18, 2, 1, 1)
    np.testing.assert_array_equal(weights, expected)
