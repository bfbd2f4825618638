import jax
import numpy as np
import pytest
from flax import nnx

from chronos_jax import Chronos2Model
from chronos_jax.checkpoints.weights import published_shapes
from chronos_jax.chronos2.params import weight_table
from chronos_jax.chronos2.random_weights import SIZES


def test_the_published_model_has_170_tensors_and_119_477_664_parameters():
    shapes = dict(published_shapes(weight_table(SIZES["chronos-2"])))
    assert len(shapes) == 170
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 119_477_664


@pytest.mark.parametrize("size", SIZES)
def test_the_table_and_the_model_hold_the_same_arrays(size):
    state = nnx.state(nnx.eval_shape(lambda: Chronos2Model(SIZES[size], rngs=nnx.Rngs(0))))
    leaves = jax.tree_util.tree_leaves_with_path(nnx.to_pure_dict(state))
    of_model = {tuple(key.key for key in path): leaf.shape for path, leaf in leaves}
    assert of_model == {weight.path: weight.model_shape for weight in weight_table(SIZES[size])}


def test_every_axis_of_every_array_has_a_logical_name_or_none():
    for weight in weight_table(SIZES["tiny"]):
        assert len(weight.axes) == len(weight.model_shape), weight.name
