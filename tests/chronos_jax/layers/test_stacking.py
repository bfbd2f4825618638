import numpy as np
from flax import nnx

from chronos_jax.layers.stacking import stack_blocks


def test_every_block_has_parameters_of_its_own_along_the_first_axis():
    kernel = stack_blocks(lambda rngs: nnx.Linear(4, 5, rngs=rngs), 3, nnx.Rngs(0)).kernel[...]
    assert kernel.shape == (3, 4, 5)
    assert all(np.abs(kernel[i] - kernel[j]).max() > 0.1 for i, j in [(0, 1), (0, 2), (1, 2)])
