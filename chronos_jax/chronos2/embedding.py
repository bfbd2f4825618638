"""What the encoder makes of tasks, batch by batch: embeddings and attention weights."""

from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Float

from chronos_jax.chronos2.batching import Batch, joint_groups
from chronos_jax.chronos2.encoder import Attentions
from chronos_jax.chronos2.modeling import Encoded
from chronos_jax.chronos2.pooling import Pooling, pool, pooled_positions
from chronos_jax.chronos2.runner import Runner, Structure
from chronos_jax.chronos2.tasks import Task
from chronos_jax.layers.attention import EVERYWHERE
from chronos_jax.layers.patching import num_patches


class Embedding(NamedTuple):
    """Hidden states of the targets of one task, at the positions that its own length fills, and their scaling."""

    hidden_VxSxD: Float[np.ndarray, "v s d"]
    loc_Vx1: Float[np.ndarray, "v 1"]
    scale_Vx1: Float[np.ndarray, "v 1"]


def embed_tasks(
    runner: Runner,
    tasks: list[Task],
    batch_size: int | None,
    layer: int,
    pooling: Pooling | None,
    pool_variates: bool,
    progress: bool | None,
) -> list[Any]:
    """For each task an `Embedding`, or, pooled, an array (d_model) or (V, d_model); arguments as for the pipeline."""

    def encode(batch: Batch) -> Encoded | Array:
        arrays = batch.context_GxVxT, batch.variate_mask_GxV, batch.target_mask_GxV
        arrays = jax.device_put(arrays, runner.sharding(batch))
        return _encode(layer, pooling, pool_variates, runner.structure, runner.arrays, *arrays)

    appended = int(runner.config.use_reg_token) + 1
    outputs: list[Any] = [None] * len(tasks)
    alone = joint_groups(tasks, batch_size, cross_learning=False, group_ids=None)
    for batch, encoded in runner.run(encode, tasks, alone, batch_size, appended, progress):
        for place in batch.places:
            task = tasks[place.task]
            if pooling is not None:
                pooled = encoded[place.group]
                outputs[place.task] = np.array(pooled if pool_variates else pooled[: task.num_targets])
                continue
            positions = num_patches(task.history_VxT.shape[1], runner.config.patch_size) + appended
            hidden = encoded.hidden_GxVxSxD[place.group, : task.num_targets, -positions:]
            scaling = (x[place.group, : task.num_targets] for x in (encoded.loc_GxVx1, encoded.scale_GxVx1))
            outputs[place.task] = Embedding(*map(np.array, (hidden, *scaling)))
    return outputs


def attend_tasks(
    runner: Runner, tasks: list[Task], num_output_patches: int, batch_size: int | None, progress: bool | None
) -> list[Attentions]:
    """For each task the attention weights of every block, over its own variates and the positions of its own length."""

    def attend(batch: Batch) -> Attentions:
        arrays = batch.context_GxVxT, batch.variate_mask_GxV, batch.future_GxVxH
        arrays = jax.device_put(arrays, runner.sharding(batch))
        return _attend(num_output_patches, runner.structure, runner.arrays, *arrays)

    appended = int(runner.config.use_reg_token) + num_output_patches
    outputs: list[Any] = [None] * len(tasks)
    alone = joint_groups(tasks, batch_size, cross_learning=False, group_ids=None)
    for batch, (time_LxGxVxAxSxS, group_LxGxSxAxVxV) in runner.run(
        attend, tasks, alone, batch_size, appended, progress
    ):
        for place in batch.places:
            variates, steps = tasks[place.task].history_VxT.shape
            positions = slice(-(num_patches(steps, runner.config.patch_size) + appended), None)
            time = time_LxGxVxAxSxS[:, place.group, :variates, :, positions, positions]
            group = group_LxGxSxAxVxV[:, place.group, positions, :, :variates, :variates]
            outputs[place.task] = Attentions(np.array(time), np.array(group))
    return outputs


@partial(jax.jit, static_argnums=(0, 1))
def _attend(
    num_output_patches: int,
    structure: Structure,
    params: dict[str, Any],
    context_GxVxT: Float[Array, "g v t"],
    variate_mask_GxV: Bool[Array, "g v"],
    future_GxVxH: Float[Array, "g v h"] | None,
) -> Attentions:
    encoded = structure.model(params).encode(
        context_GxVxT,
        variate_mask_GxV=variate_mask_GxV,
        future_GxVxH=future_GxVxH,
        num_output_patches=num_output_patches,
        output_attentions=True,
    )
    assert encoded.attentions is not None, "they were asked for"
    return encoded.attentions


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _encode(
    layer: int,
    pooling: Pooling | None,
    pool_variates: bool,
    structure: Structure,
    params: dict[str, Any],
    context_GxVxT: Float[Array, "g v t"],
    variate_mask_GxV: Bool[Array, "g v"],
    target_mask_GxV: Bool[Array, "g v"],
) -> Encoded | Float[Array, "g *v d"]:
    model = structure.model(params)
    patches = context_GxVxT.shape[-1] // model.config.patch_size
    positions = EVERYWHERE if pooling is None else pooled_positions(pooling, patches)
    encoded = model.encode(context_GxVxT, variate_mask_GxV=variate_mask_GxV, layer=layer, positions=positions)
    if pooling is None:
        return encoded
    return pool(encoded.hidden_GxVxSxD, encoded.mask_GxVxS, target_mask_GxV, patches, pooling, pool_variates)
