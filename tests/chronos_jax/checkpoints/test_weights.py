import numpy as np

from chronos_jax.checkpoints.weights import Weight, flatten, nest, published_shapes, shape_mismatches, tensors_of

STACKED = Weight("block.{layer}.weight", ("blocks", "kernel"), (5, 3), ("layers", None, None), True, 2)
SINGLE = Weight("norm.weight", ("norm", "scale"), (3,), (None,))


def test_a_stacked_weight_has_one_name_a_layer_and_its_layers_first():
    assert STACKED.names == ["block.0.weight", "block.1.weight"]
    assert STACKED.model_shape == (2, 3, 5)
    assert (SINGLE.names, SINGLE.model_shape) == (["norm.weight"], (3,))
    assert dict(published_shapes([STACKED, SINGLE])) == {
        "block.0.weight": (5, 3),
        "block.1.weight": (5, 3),
        "norm.weight": (3,),
    }


def test_tensors_of_an_array_are_views_in_the_published_shape():
    array = np.zeros(STACKED.model_shape)
    for number, (name, tensor) in enumerate(tensors_of(STACKED, array), start=1):
        assert name == STACKED.names[number - 1]
        assert tensor.shape == STACKED.shape
        tensor[0, 2] = number
    assert array[:, 2, 0].tolist() == [1, 2]
    assert np.count_nonzero(array) == 2


def test_flatten_undoes_nest():
    arrays = [(STACKED, np.ones(2)), (SINGLE, np.zeros(1))]
    state = nest(arrays)
    assert set(state) == {"blocks", "norm"}
    assert [(path, id(array)) for path, array in flatten(state)] == [(w.path, id(array)) for w, array in arrays]


def test_mismatches_are_missing_misshapen_or_unknown():
    found, expected = {"a": (1,), "b": (2,), "d": (4,)}, {"a": (1,), "b": (3,), "c": ()}
    assert list(shape_mismatches(found, expected)) == [
        "b has shape (2,), expected (3,)",
        "missing: c, expected with shape ()",
        "unknown: d of shape (4,)",
    ]
