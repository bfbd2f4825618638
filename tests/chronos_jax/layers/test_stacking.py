import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from chronos_jax.layers.stacking import apply_blocks, block_at, stack_blocks, unstack_blocks


def test_every_block_has_parameters_of_its_own_along_the_first_axis():
    kernel = stack_blocks(lambda rngs: nnx.Linear(4, 5, rngs=rngs), 3, nnx.Rngs(0)).kernel[...]
    assert kernel.shape == (3, 4, 5)
    assert all(np.abs(kernel[i] - kernel[j]).max() > 0.1 for i, j in [(0, 1), (0, 2), (1, 2)])


def linears():
    return stack_blocks(lambda rngs: nnx.Linear(16, 16, use_bias=False, rngs=rngs), 3, nnx.Rngs(0))


def apply(block, x):
    return block(x), jnp.sum(x)


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_blocks_in_a_list_do_what_stacked_blocks_do(number):
    x = jnp.ones((2, 16))
    stacked, kept = apply_blocks(linears(), number, apply, x)
    in_place, kept_in_place = apply_blocks(linears(), number, apply, x, in_place=True)
    np.testing.assert_array_equal(in_place, stacked)
    np.testing.assert_array_equal(kept_in_place, kept)
    listed, kept_of_list = apply_blocks(unstack_blocks(linears(), 3), number, apply, x)
    np.testing.assert_allclose(listed, stacked, rtol=1e-6)
    np.testing.assert_allclose(kept_of_list, kept, rtol=1e-6)
    assert kept.shape == (number,)
    one_by_one = x
    for index in range(number):
        one_by_one = block_at(linears(), index)(one_by_one)
    np.testing.assert_allclose(one_by_one, stacked, rtol=1e-6)


def test_a_list_takes_no_memory_of_its_own():
    stacked = linears()
    whole = stacked.kernel[...].unsafe_buffer_pointer()
    pointers = [block.kernel[...].unsafe_buffer_pointer() for block in unstack_blocks(stacked, 3)]
    assert pointers == [whole + i * 16 * 16 * 4 for i in range(3)]


def test_abstract_blocks_come_apart_too():
    blocks = unstack_blocks(nnx.eval_shape(linears), 3)
    assert [block.kernel.get_value().shape for block in blocks] == [(16, 16)] * 3


def test_a_block_of_a_list_is_traced_once():
    traced = []

    def counted(block, x):
        traced.append(1)
        return apply(block, x)

    apply_blocks(unstack_blocks(linears(), 3), 3, counted, jnp.ones((2, 16)))
    assert len(traced) == 1


def test_the_first_blocks_are_not_copied_out_of_the_stack():
    graphdef, state = nnx.split(linears())
    compiled = jax.jit(lambda state, x: apply_blocks(nnx.merge(graphdef, state), 2, apply, x, in_place=True)[0]).lower(
        state, jnp.ones((2, 16))
    )
    assert "f32[2,16,16]" not in compiled.compile().as_text(), "two of the three would be a copy"
