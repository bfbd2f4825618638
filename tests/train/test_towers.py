import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from train.towers import AlignmentModel, BagOfWordsTower, ProjectionHead


def head(dropout: float = 0.0, dtype=jnp.float32) -> ProjectionHead:
    return ProjectionHead(6, 16, 4, dropout=dropout, dtype=dtype, rngs=nnx.Rngs(0))


X = jax.random.normal(jax.random.key(1), (3, 6))


def test_the_head_is_linear_layernorm_gelu_linear() -> None:
    """The same layers in PyTorch, in the order of the issue, give the same numbers."""
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: test)")
    ours = head()
    theirs = torch.nn.Sequential(
        torch.nn.Linear(6, 16), torch.nn.LayerNorm(16, eps=1e-6), torch.nn.GELU("tanh"), torch.nn.Linear(16, 4)
    )
    with torch.no_grad():
        for linear, ours_linear in ((theirs[0], ours.linear_in), (theirs[3], ours.linear_out)):
            linear.weight.copy_(torch.tensor(np.asarray(ours_linear.kernel[...]).T))
            linear.bias.copy_(torch.tensor(np.asarray(ours_linear.bias[...])))
        expected = theirs(torch.tensor(np.asarray(X))).numpy()
    np.testing.assert_allclose(ours(X, None), expected, atol=1e-5)


def test_dropout_acts_only_with_a_key() -> None:
    dropping = head(dropout=0.5)
    np.testing.assert_array_equal(dropping(X, None), head()(X, None))
    assert not np.allclose(dropping(X, jax.random.key(0)), dropping(X, None))
    np.testing.assert_array_equal(dropping(X, jax.random.key(0)), dropping(X, jax.random.key(0)))


def test_half_precision_is_of_the_products_not_of_the_parameters() -> None:
    half = head(dtype=jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(half, nnx.Param))} == {jnp.dtype(jnp.float32)}
    assert half(X, None).dtype == jnp.float32
    np.testing.assert_allclose(half(X, None), head()(X, None), atol=0.05)
    assert not np.array_equal(half(X, None), head()(X, None))


def words() -> BagOfWordsTower:
    return BagOfWordsTower(9, 16, 4, dropout=0.0, dtype=jnp.float32, rngs=nnx.Rngs(0))


def test_a_bag_of_words_has_no_order_and_no_padding() -> None:
    tower = words()
    a, b, padded = jnp.array([[2, 3, 5]]), jnp.array([[5, 2, 3]]), jnp.array([[2, 3, 5, 0, 0]])
    np.testing.assert_allclose(tower(a, None), tower(b, None), atol=1e-6)
    np.testing.assert_allclose(tower(a, None), tower(padded, None), atol=1e-6)
    assert not np.allclose(tower(a, None), tower(jnp.array([[2, 3, 4]]), None))


def model(temperature: float = 0.07) -> AlignmentModel:
    return AlignmentModel(head(), words(), temperature=temperature, bias=-10.0)


def test_embeddings_have_unit_length() -> None:
    np.testing.assert_allclose(jnp.linalg.norm(model().embed_sensor(X), axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(jnp.linalg.norm(model().embed_text(jnp.array([[2, 3], [4, 0]])), axis=1), 1, rtol=1e-5)


def test_a_text_without_words_is_finite_and_so_is_its_gradient() -> None:
    def total(embedding: jax.Array) -> jax.Array:
        towers = model()
        towers.text.words.embedding[...] = embedding
        return towers.embed_text(jnp.zeros((1, 3), jnp.int32)).sum()

    embedding = model().text.words.embedding[...]
    assert jnp.isfinite(total(embedding))
    assert jnp.isfinite(jax.grad(total)(embedding)).all()


def test_the_logit_scale_begins_as_inverse_temperature() -> None:
    np.testing.assert_allclose(model(0.07).logit_scale(), 1 / 0.07, rtol=1e-6)
