"""The weight tables against our models and against those of transformers."""

import jax
import numpy as np
import pytest
from flax import nnx
from text_models import BERTS, CLIPS, transformers_module

from chronos_jax.checkpoints.weights import published_shapes
from chronos_jax.sharding import partition_spec
from chronos_jax.text.bert import params as bert
from chronos_jax.text.towers import tower_of

SIZES = BERTS | CLIPS
PARAMETERS = {"all-MiniLM-L6-v2": 22_713_216, "gte-base": 109_482_240, "clip-vit-base-patch32": 63_428_096}
"""What transformers counts, BERT's pooler included."""


@pytest.mark.parametrize("size", SIZES)
def test_the_table_and_the_model_hold_the_same_arrays(size):
    tower = tower_of(SIZES[size])
    state = nnx.state(nnx.eval_shape(lambda: tower.make(tower.config, rngs=nnx.Rngs(0))))
    leaves = jax.tree_util.tree_leaves_with_path(nnx.to_pure_dict(state))
    of_model = {tuple(key.key for key in path): leaf.shape for path, leaf in leaves}
    assert of_model == {weight.path: weight.model_shape for weight in tower.table}


@pytest.mark.parametrize("size", SIZES)
def test_the_table_holds_what_transformers_saves(size):
    transformers = transformers_module()
    import torch

    with torch.device("meta"):
        if size in BERTS:
            model = transformers.BertModel(transformers.BertConfig(**SIZES[size].to_dict()))
            table = bert.weight_table(SIZES[size], pooler=True)
        else:
            model = transformers.CLIPTextModelWithProjection(transformers.CLIPTextConfig(**SIZES[size].to_dict()))
            table = tower_of(SIZES[size]).table
    theirs = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert dict(published_shapes(table)) == theirs
    assert sum(int(np.prod(shape)) for shape in theirs.values()) == PARAMETERS.get(size, model.num_parameters())


@pytest.mark.parametrize("size", ["tiny BERT", "tiny CLIP"])
def test_every_array_has_logical_axes_that_shard(size):
    for weight in tower_of(SIZES[size]).table:
        assert len(weight.axes) == len(weight.model_shape), weight.name
        partition_spec(weight.axes)
