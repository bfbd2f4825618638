import jax
import numpy as np
from flax import nnx


def test_what_stands_behind_the_end_of_a_text_changes_nothing(bert):
    graphdef, state = nnx.split(bert.model)
    run = jax.jit(lambda state, *x: nnx.merge(graphdef, state)(*x))
    tokens, lengths = np.full((2, 8), 7, np.int32), np.array([8, 5], np.int32)
    before = np.asarray(run(state, tokens, lengths))
    tokens[1, 5:] = 9
    after = np.asarray(run(state, tokens, lengths))
    np.testing.assert_array_equal(before[1, :5], after[1, :5])
    np.testing.assert_array_equal(before[0], after[0])
    tokens[1, 4] = 9
    assert np.abs(np.asarray(run(state, tokens, lengths))[1, 0] - after[1, 0]).max() > 1e-3  # before it, everything
