"""Counts of programs with loops; any compiler will do."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest

from benchmarks.tpu_programs import Cost, cost

LAYERS, WIDTH = 6, 64


def scanned(x: jax.Array, weights: jax.Array) -> jax.Array:
    return jax.lax.scan(lambda x, weight: (jnp.tanh(x @ weight), None), x, weights)[0]


def repeated(x: jax.Array, weights: jax.Array) -> jax.Array:
    for layer in range(LAYERS):
        x = jnp.tanh(x @ weights[layer])
    return x


def counted(function: object) -> Cost:
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((WIDTH, WIDTH), (LAYERS, WIDTH, WIDTH))]
    found = cost(lambda: jax.jit(partial(function)).lower(*shapes))
    assert found is not None
    return found


def test_the_body_of_a_loop_counts_as_often_as_it_runs() -> None:
    loop, plain = counted(scanned), counted(repeated)
    assert loop.bytes_accessed == pytest.approx(plain.bytes_accessed, rel=0.1)
    assert loop.flops == plain.flops == 2 * LAYERS * WIDTH**3


def test_a_loop_that_cannot_be_unrolled_is_refused() -> None:
    def forever(x: jax.Array, weights: jax.Array) -> jax.Array:
        return jax.lax.while_loop(lambda x: x.sum() < 1, lambda x: x @ weights[0], x)

    with pytest.raises(RuntimeError, match="keeps a loop"):
        counted(forever)
