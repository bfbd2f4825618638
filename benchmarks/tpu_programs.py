"""What the compiler for TPUs says of one chip's share of embeddings and forecasts, of the plain port and of ours."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh

from benchmarks import plain_encoder
from chronos_jax.checkpoints.weights import nest
from chronos_jax.chronos2.batching import groups_at_once
from chronos_jax.chronos2.config import Chronos2Config
from chronos_jax.chronos2.params import weight_table
from chronos_jax.chronos2.runner import abstract_model, tokens_at_once, with_params
from chronos_jax.layers.patching import num_patches
from chronos_jax.sharding import batch_shards, named_sharding
from train.compilation.costs import matrix_flops, memory_traffic
from train.compilation.hlo import Program, parse_program
from train.compilation.measure import EXHAUSTED
from train.compilation.programs import DataShapes, extraction
from train.config import TrainConfig


@dataclass(frozen=True)
class Work:
    """What one chip does in one run of a program.

    Attributes:
        groups: Windows, or series that are forecast.
        variates: Of each.
        steps: Of history.
        horizon: Steps to forecast; None for embeddings, pooled as training extracts them.
    """

    groups: int
    variates: int
    steps: int
    horizon: int | None = None


class Cost(NamedTuple):
    """Of one run, per chip.

    Attributes:
        bytes_accessed: By the compiler's analysis: what instructions read and write, in scratch memory, too, and with
            the padding of arrays to whole tiles.
        memory_traffic: Bytes from and to main memory (`train.compilation.costs.memory_traffic`).
        temporaries: Bytes of main memory that the program needs in between.
        flops: Products of matrices (`train.compilation.costs.matrix_flops`).
    """

    bytes_accessed: int
    memory_traffic: int
    temporaries: int
    flops: int


def costs(work: Work, size: str, config: Chronos2Config, mesh: Mesh) -> dict[str, Cost | None]:
    """Of both sides, "plain" and "ours", in bfloat16; None where the compiler says that it does not fit.

    Args:
        work: What each chip does.
        size: Name of random weights of this configuration, such as "random:chronos-2".
        config: Sizes of the model.
        mesh: Chips that share nothing: each has all weights.
    """
    lower = _lowered_extraction if work.horizon is None else _lowered_forecast
    some = replace(work, groups=min(work.groups, _at_once(work, config)))
    return {
        "plain": cost(partial(_lowered_plain, work, config, mesh)),
        "ours": cost(partial(lower, some, size, config, mesh), work.groups // some.groups),
    }


def _at_once(work: Work, config: Chronos2Config) -> int:
    """How many groups the pipeline gives to one TPU at once."""
    appended = 1 if work.horizon is None else _output_patches(work, config)
    positions = num_patches(work.steps, config.patch_size) + int(config.use_reg_token) + appended
    return groups_at_once(tokens_at_once("tpu", 1), work.variates * positions)


def cost(lower: Callable[[], jax.stages.Lowered], times: int = 1) -> Cost | None:
    """Compiles a program that is run so many times, and again without its loops for the compiler's own count.

    That count takes the body of a loop once, however often it runs. Everything else is of the program as it is.

    Raises:
        RuntimeError: Loops are left, so that the count would mean nothing.
    """
    try:
        compiled = lower().compile()
    except jax.errors.JaxRuntimeError as error:
        if EXHAUSTED not in str(error):
            raise
        return None
    program, memory = parse_program(str(compiled.as_text())), compiled.memory_analysis()
    assert memory is not None, "the compiler for TPUs tells"
    unrolled = compiled if not _has_loops(program) else _unrolled(lower)
    counted = unrolled.cost_analysis()
    assert counted is not None, "the compiler for TPUs tells"
    return Cost(
        times * int(counted["bytes accessed"]),
        times * memory_traffic(program),
        memory.temp_size_in_bytes,
        times * matrix_flops(program),
    )


def _unrolled(lower: Callable[[], jax.stages.Lowered]) -> jax.stages.Compiled:
    jax.clear_caches()  # what is traced already has its loops
    with mock.patch.object(jax.lax, "scan", partial(jax.lax.scan, unroll=True)):
        compiled = lower().compile()
    jax.clear_caches()
    if _has_loops(parse_program(str(compiled.as_text()))):
        raise RuntimeError(
            "the program keeps a loop when jax.lax.scan is unrolled; its bytes accessed cannot be counted"
        )
    return compiled


def _has_loops(program: Program) -> bool:
    return any(run.instruction.opcode == "while" for run in program.executions(into_fusions=False))


def _lowered_extraction(work: Work, size: str, config: Chronos2Config, mesh: Mesh) -> jax.stages.Lowered:
    """As training extracts features, lowered as `train.compile` does."""
    chips_of_a_process = sum(device.process_index == 0 for device in mesh.devices.flat)
    options = TrainConfig(
        chronos_model_name=size,
        use_amp=True,
        variate_pooling="mean",
        include_loc_scale=False,
        sequence_length=work.steps,
        encoder_batch_size=work.groups * chips_of_a_process,
    )
    program = extraction(options, DataShapes.of(options), mesh)
    assert (program.windows_per_chip, DataShapes.of(options).variates) == (work.groups, work.variates)
    return program.lowered


def _lowered_forecast(work: Work, size: str, config: Chronos2Config, mesh: Mesh) -> jax.stages.Lowered:
    model = with_params(abstract_model(config, jnp.bfloat16, mesh, mesh.devices.flat[0]), _parameters(config, mesh))
    graphdef, state = nnx.split(model)

    @jax.jit
    def forecast(state: nnx.State, context: jax.Array, mask: jax.Array) -> jax.Array:
        model = nnx.merge(graphdef, state)
        return model(context, variate_mask_GxV=mask, num_output_patches=_output_patches(work, config))

    return forecast.lower(state, *_batch(work, config, mesh))


def _lowered_plain(work: Work, config: Chronos2Config, mesh: Mesh) -> jax.stages.Lowered:
    function: Callable[..., jax.Array] = plain_encoder.embed
    if work.horizon is not None:
        function = partial(plain_encoder.forecast, num_output_patches=_output_patches(work, config))
    # A first port has the weights of each layer on their own.
    params = _parameters(config, mesh)
    everywhere = named_sharding(mesh)
    blocks = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype, sharding=everywhere), params["encoder"]["blocks"]
    )
    params["encoder"] = {**params["encoder"], "blocks": [blocks] * config.num_layers}
    return jax.jit(function, static_argnums=1).lower(params, config, *_batch(work, config, mesh))


def _parameters(config: Chronos2Config, mesh: Mesh) -> dict[str, Any]:
    everywhere = named_sharding(mesh)
    return nest(
        (weight, jax.ShapeDtypeStruct(weight.model_shape, jnp.bfloat16, sharding=everywhere))
        for weight in weight_table(config)
    )


def _batch(work: Work, config: Chronos2Config, mesh: Mesh) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
    """Contexts in whole patches, and which variates are real."""
    groups, split = work.groups * batch_shards(mesh), named_sharding(mesh, ("batch",))
    steps = num_patches(work.steps, config.patch_size) * config.patch_size
    return (
        jax.ShapeDtypeStruct((groups, work.variates, steps), jnp.float32, sharding=split),
        jax.ShapeDtypeStruct((groups, work.variates), jnp.bool_, sharding=split),
    )


def _output_patches(work: Work, config: Chronos2Config) -> int:
    assert work.horizon is not None, "embeddings have none"
    return num_patches(work.horizon, config.patch_size)
