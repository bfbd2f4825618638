"""What travels between devices, and how much of the matrix a device ever holds."""

import re
from math import prod

import jax
import jax.numpy as jnp
import pytest

from chronos_jax.sharding import make_mesh, named_sharding
from train.losses import Matches, make_loss

BATCH, WIDTH, CAPTIONS, SHARDS = 64, 16, 2, 8
LOCAL = BATCH // SHARDS


def program(kind, form) -> str:
    """The compiled value and gradient of a batch over eight devices, as one device runs it."""
    mesh = make_mesh({"data": 4, "fsdp": 2})
    loss = make_loss(kind, form, mesh, tile=4)
    batch, everywhere = named_sharding(mesh, ("batch",)), named_sharding(mesh)

    def objective(*inputs):
        contrast = loss(*inputs)
        return contrast.loss, contrast

    def array(shape, dtype=jnp.float32, layout=batch):
        return jax.ShapeDtypeStruct(shape, dtype, sharding=layout)

    matches = Matches(array((BATCH, CAPTIONS), jnp.int32), array((BATCH,), jnp.int32))
    inputs = *[array((BATCH, WIDTH))] * 2, *[array((), layout=everywhere)] * 2, matches
    gradient = jax.value_and_grad(objective, argnums=(0, 1, 2, 3), has_aux=True)
    layout = (everywhere, (batch, batch, everywhere, everywhere))
    return jax.jit(gradient, out_shardings=layout).lower(*inputs).compile().as_text()


def numbers(text: str) -> list[int]:
    """How many numbers each array in a piece of a program has."""
    return [prod(map(int, shape.split(","))) if shape else 1 for shape in re.findall(r"[a-z]\w+\[([\d,]*)\]", text)]


def collectives(text: str) -> dict[str, int]:
    """Each kind of collective, and the numbers in the largest array that one gives."""
    found: dict[str, int] = {}
    for result, kind in re.findall(
        r" = (.*?) (all-\w+|collective-\w+|reduce-scatter|ragged-\S+?)(?:-start|-done)?\(", text
    ):
        found[kind] = max(found.get(kind, 0), *numbers(result))
    return found


@pytest.mark.parametrize("kind", ["infonce", "sigmoid", "focal_sigmoid"])
@pytest.mark.parametrize("form", ["ring", "tiles"])
def test_only_parts_of_the_batch_travel_and_no_device_holds_a_row_of_the_matrix(kind, form) -> None:
    text = program(kind, form)
    part = LOCAL if form == "ring" else 4
    assert collectives(text) == {"collective-permute": part * WIDTH, "all-reduce": 1}
    assert max(numbers(text)) <= LOCAL * max(WIDTH, LOCAL * CAPTIONS)


def test_the_plain_form_gathers_and_holds_rows() -> None:
    """So what the test above looks for is seen where it is."""
    text = program("infonce", "plain")
    assert collectives(text)["all-gather"] == BATCH * WIDTH
    assert max(numbers(text)) >= LOCAL * BATCH


def test_a_batch_that_does_not_split_evenly_is_refused() -> None:
    loss = make_loss("infonce", "ring", make_mesh({"data": 8}))
    matches = Matches(jnp.zeros((10, 1), jnp.int32), jnp.zeros(10, jnp.int32))
    embeddings = jnp.zeros((10, 4))
    with pytest.raises(ValueError, match=r"a batch of 10 .*'data': 8.* multiple of 8"):
        jax.jit(loss)(embeddings, embeddings, jnp.ones(()), jnp.zeros(()), matches)
