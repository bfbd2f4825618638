from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from chronos_jax.chronos2.config import Chronos2Config
from chronos_jax.chronos2.modeling import Chronos2Model
from chronos_jax.sharding import make_mesh
from train.compilation.programs import DataShapes, training_step
from train.config import TrainConfig
from train.flops import encoder_flops, training_flops
from train.text import WordVocabulary

SMALL = Chronos2Config(d_model=256, d_kv=32, d_ff=512, num_layers=1, num_heads=4)


@pytest.mark.parametrize("keys", [{}, {"use_hard_negatives": True, "hard_negative_memory_size": 2048}])
def test_a_step_of_training_needs_what_the_compiler_counts(keys: dict[str, Any]) -> None:
    """Before optimisation, so that no library call hides a product; the plain loss holds every logit once."""
    sizes = {"projection_hidden_dim": 256, "output_dim": 256, "batch_size": 512, "loss_implementation": "plain"}
    config = TrainConfig.model_validate(sizes | keys)
    data = DataShapes(5, 50, WordVocabulary(tuple("abcdefgh"), 2), 1, ())
    program = training_step(config, data, make_mesh(devices=jax.devices()[:1]))
    counted = program.lowered.cost_analysis()
    assert counted is not None
    expected = training_flops(program.parts["parameters"], 512, 2048 if keys else 0)
    assert expected == program.model_flops
    assert counted["flops"] == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("variates", [1, 5])
def test_a_pass_of_the_encoder_needs_what_the_compiler_counts(variates: int) -> None:
    model = nnx.eval_shape(lambda: Chronos2Model(SMALL, rngs=nnx.Rngs(0)))
    graphdef, state = nnx.split(model)
    context = jax.ShapeDtypeStruct((4, variates, 256), jnp.float32)
    lowered = jax.jit(lambda s, x: nnx.merge(graphdef, s).encode(x).hidden_GxVxSxD).lower(state, context)
    counted = lowered.cost_analysis()
    assert counted is not None
    assert counted["flops"] == pytest.approx(encoder_flops(SMALL, 4, variates, 256), rel=0.05)


def test_only_the_blocks_that_are_asked_for_count() -> None:
    deep = SMALL.model_copy(update={"num_layers": 6})
    none, one, two, six = (encoder_flops(deep, 4, 5, 50, layer) for layer in (0, 1, 2, -1))
    assert six - none == 6 * (two - one) > 0


def test_precomputed_texts_need_no_gradient() -> None:
    head = {"linear_in": {"kernel": jnp.zeros((7, 3))}, "linear_out": {"kernel": jnp.zeros((3, 2))}}
    bag = {"words": {"embedding": jnp.zeros((9, 7))}, "head": head}
    rows, width = 11, 2
    assert training_flops({"sensor": head, "text": head}, rows) == rows * (2 * (4 * 21 + 6 * 6) + 6 * rows * width)
    more = training_flops({"sensor": head, "text": bag}, rows) - training_flops({"sensor": head, "text": head}, rows)
    assert more == rows * 2 * 21
