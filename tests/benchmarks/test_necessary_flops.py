"""Operations that a pass needs, against what a compiled plain program does."""

import jax
import jax.numpy as jnp
import pytest

from benchmarks.necessary_flops import embed_flops, forecast_flops
from benchmarks.plain_encoder import forecast, unstacked
from chronos_jax.chronos2.config import Chronos2Config
from chronos_jax.chronos2.random_weights import SIZES, random_params
from train.compilation.costs import matrix_flops
from train.compilation.hlo import parse_program
from train.flops import encoder_flops

TINY = SIZES["tiny"]
GROUPS, VARIATES, STEPS, HORIZON = 2, 5, 40, 30
POSITIONS, FUTURE = 3 + 1 + 2, 2


@pytest.mark.parametrize("variates", [1, 5])
def test_an_embedding_needs_what_training_counts_for_feature_extraction(variates: int) -> None:
    assert embed_flops(TINY, 7, variates, 50) == encoder_flops(TINY, 7, variates, 50)


def test_a_forecast_needs_a_plain_program_but_for_what_its_last_layer_computes_in_vain() -> None:
    """Variates that see each other; of those alone a plain program computes queries and keys for nothing."""
    width, inner, wide = TINY.d_model, TINY.num_heads * TINY.d_kv, TINY.d_ff
    attends = 4 * width * inner + 4 * inner * POSITIONS  # q and o, logits and values
    groups = 8 * width * inner + 4 * inner * VARIATES
    unread = GROUPS * VARIATES * (POSITIONS - FUTURE) * (attends + groups + 4 * width * wide)
    assert forecast_flops(TINY, GROUPS, VARIATES, STEPS, HORIZON) == _plain(TINY) - unread


def test_a_lone_series_needs_only_values_of_group_attention() -> None:
    width, inner, layers = TINY.d_model, TINY.num_heads * TINY.d_kv, TINY.num_layers
    alone, together = (forecast_flops(TINY, 1, variates, STEPS, HORIZON) / variates for variates in (1, 2))
    queries_keys_scores = 4 * width * inner + 4 * inner * 2
    assert together - alone == ((layers - 1) * POSITIONS + FUTURE) * queries_keys_scores


def test_a_horizon_of_several_passes_is_refused() -> None:
    steps = TINY.max_output_patches * TINY.patch_size
    assert forecast_flops(TINY, 1, 1, 16, steps) > 0
    with pytest.raises(ValueError, match=f"a horizon of {steps + 1} steps takes several passes"):
        forecast_flops(TINY, 1, 1, 16, steps + 1)


def _plain(config: Chronos2Config) -> int:
    params = jax.eval_shape(lambda: unstacked(random_params(config), config.num_layers))
    context = jax.ShapeDtypeStruct((GROUPS, VARIATES, STEPS), jnp.float32)
    mask = jax.ShapeDtypeStruct((GROUPS, VARIATES), jnp.bool)
    function = jax.jit(forecast, static_argnums=1, static_argnames="num_output_patches")
    compiled = function.lower(params, config, context, mask, num_output_patches=FUTURE).compile()
    return matrix_flops(parse_program(str(compiled.as_text())))
