import jax
import jax.numpy as jnp
import numpy as np
import pytest

from train.negatives import EMPTY, Memory, draw_negatives, empty_memory, remember

OTHERS = jnp.array([[100], [101]])  # captions of the two windows, none of them in the memory
WINDOWS = jnp.eye(8)[:2]


def memory_of(texts: int, size: int = 8) -> Memory:
    """Text i is the i-th unit vector, has number i, and was remembered in this order."""
    return remember(empty_memory(size, 8), jnp.eye(8)[:texts], jnp.arange(texts, dtype=jnp.int32))


def drawn_ids(memory: Memory, key: int, own: jax.Array = OTHERS, **options) -> tuple[list[list[int]], jax.Array]:
    """Numbers of the valid negatives of each window, found by what only text i has: cosine i / 10 with the window."""
    scaled = memory._replace(text_MxD=memory.text_ids_M[:, None] / 10 * jnp.ones((1, 1)))
    ones = jnp.ones((len(own), 1))
    negatives = draw_negatives(scaled, ones, own, jax.random.key(key), **options)
    ids = np.rint(np.asarray(negatives.cosine_BxK) * 10).astype(int)
    return [row[valid].tolist() for row, valid in zip(ids, np.asarray(negatives.valid_BxK), strict=True)], ids


def test_the_oldest_texts_are_forgotten_first() -> None:
    memory = remember(memory_of(6), jnp.eye(8)[:4], jnp.arange(10, 14, dtype=jnp.int32))
    assert memory.text_ids_M.tolist() == [10, 11, 12, 13, 0, 1, 2, 3]


def test_a_batch_larger_than_the_memory_fills_it() -> None:
    assert remember(empty_memory(3, 8), jnp.eye(8), jnp.arange(8, dtype=jnp.int32)).text_ids_M.tolist() == [0, 1, 2]


def test_no_gradient_flows_into_the_memory() -> None:
    def total(text: jax.Array) -> jax.Array:
        return remember(empty_memory(4, 8), text, jnp.arange(2, dtype=jnp.int32)).text_MxD.sum()

    assert not jax.grad(total)(jnp.ones((2, 8))).any()


@pytest.mark.parametrize("strategy", ["random", "similarity", "mixed"])
def test_an_empty_memory_gives_no_valid_negative(strategy) -> None:
    negatives = draw_negatives(
        empty_memory(8, 8), WINDOWS, OTHERS, jax.random.key(0), count=4, strategy=strategy, temperature=0.1
    )
    assert negatives.cosine_BxK.shape == (2, 4)
    assert not negatives.valid_BxK.any()


@pytest.mark.parametrize("strategy", ["random", "similarity", "mixed"])
def test_negatives_are_different_texts_and_never_a_windows_own(strategy) -> None:
    own = jnp.array([[3, 5], [0, EMPTY]])
    for key in range(20):
        (first, second), _ = drawn_ids(memory_of(8), key, own, count=5, strategy=strategy, temperature=0.1)
        assert len(set(first)) == len(first) == 5
        assert len(set(second)) == len(second) == 5
        assert not {3, 5} & set(first)
        assert 0 not in second


@pytest.mark.parametrize("strategy", ["random", "similarity", "mixed"])
def test_where_too_few_are_remembered_the_rest_is_invalid_and_nothing_counts_twice(strategy) -> None:
    (first, _), _ = drawn_ids(memory_of(3), 0, count=6, strategy=strategy, temperature=0.1)
    assert sorted(first) == [0, 1, 2]


def test_a_low_temperature_takes_the_most_similar() -> None:
    (first, _), _ = drawn_ids(memory_of(8), 0, count=3, strategy="similarity", temperature=1e-4)
    assert sorted(first) == [5, 6, 7]


def test_mixed_takes_half_by_similarity() -> None:
    draws = [drawn_ids(memory_of(8), key, count=4, strategy="mixed", temperature=1e-4)[0][0] for key in range(30)]
    assert all({6, 7} <= set(ids) for ids in draws)
    assert set().union(*draws) == set(range(8))


def test_random_takes_all_alike() -> None:
    draws = [drawn_ids(memory_of(8), key, count=4, strategy="random", temperature=1e-4)[0][0] for key in range(200)]
    counts = np.bincount(np.concatenate(draws), minlength=8)
    assert counts.min() > 70  # 100 expected of each, standard deviation 7
    assert counts.max() < 130


def test_gradients_flow_through_the_cosines_into_the_windows() -> None:
    def total(windows: jax.Array) -> jax.Array:
        negatives = draw_negatives(
            memory_of(8), windows, OTHERS, jax.random.key(0), count=8, strategy="mixed", temperature=0.1
        )
        return negatives.cosine_BxK.sum()

    np.testing.assert_allclose(jax.grad(total)(WINDOWS), jnp.ones((2, 8)), rtol=1e-6)
