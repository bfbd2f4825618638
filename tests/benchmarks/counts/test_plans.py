"""Calls taken apart without being computed."""

import math

import jax
import jax.numpy as jnp
import pytest
from reference import walks

from benchmarks.counts.plans import plan
from chronos_jax.chronos2.random_weights import SIZES
from train.compilation.costs import matrix_flops
from train.compilation.hlo import parse_program
from train.flops import encoder_flops

TINY = SIZES["tiny"]


def test_positions_of_a_series_are_its_patches_and_what_is_appended() -> None:
    """Three patches, REG and two future patches; five patches, for which there may be a longer bucket."""
    planned = plan(lambda pipeline: pipeline.predict([walks(48), walks(65)], 32), TINY)
    assert planned.tokens_needed == (3 + 1 + 2) + (5 + 1 + 2)
    shapes = [batch.context_GxVxT.shape for batch in planned.batches]
    assert planned.tokens_computed == sum(g * v * (t // 16 + 3) for g, v, t in shapes)
    assert planned.tokens_computed >= planned.tokens_needed


def test_batches_are_those_of_the_published_size_and_nothing_is_allocated() -> None:
    """A program for 119 million parameters is lowered from their shapes."""
    planned = plan(lambda pipeline: pipeline.embed(walks(3, 5, 50)), SIZES["chronos-2"])
    ((batch, number),) = planned.shapes
    assert number == 1
    weights, _ = planned.lower(batch).args_info[0]
    shapes = [leaf.shape for leaf in jax.tree.leaves(weights)]
    assert sum(map(math.prod, shapes)) == 119_477_664


def test_the_model_is_in_the_form_in_which_the_pipeline_runs_it() -> None:
    planned = plan(lambda pipeline: pipeline.embed(walks(1, 1, 16)), TINY)
    structure, params = planned.model
    assert structure == planned.runner.structure
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, planned.runner.arrays)


def test_the_program_is_the_one_that_the_pipeline_would_run() -> None:
    planned = plan(lambda pipeline: pipeline.embed(walks(4, 5, 50)), TINY)
    ((batch, _),) = planned.shapes
    program = parse_program(str(planned.lower(batch).compile().as_text()))
    assert matrix_flops(program) == pytest.approx(encoder_flops(TINY, 4, 5, 50), rel=0.2)


def test_a_call_that_computes_nothing_is_refused() -> None:
    with pytest.raises(RuntimeError, match="went through without a batch"):
        plan(lambda pipeline: None, TINY)
