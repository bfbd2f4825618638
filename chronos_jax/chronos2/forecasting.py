"""Forecasts of any horizon: one pass of the model, then stretch by stretch from its own quantiles.

Reference: chronos.chronos2.pipeline.Chronos2Pipeline._predict_batch and what it calls.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Sharding
from jaxtyping import Array, Bool, Float, Int

from chronos_jax.chronos2.batching import Batch, half_octave
from chronos_jax.chronos2.config import Chronos2Config
from chronos_jax.chronos2.runner import Runner, Structure
from chronos_jax.chronos2.tasks import Task
from chronos_jax.layers.patching import num_patches
from chronos_jax.quantiles import probability_masses, weighted_quantiles


class Horizon(NamedTuple):
    """How far to forecast, and how.

    Attributes:
        patches: Patches in all.
        patches_a_pass: The most that one pass of the model forecasts.
        paths: Which of the model's quantiles are appended to the history, each in a path of its own, to go on beyond
            one pass.
    """

    patches: int
    patches_a_pass: int
    paths: tuple[int, ...]

    @property
    def stretches(self) -> list[int]:
        """Patches of each pass."""
        whole, rest = divmod(self.patches, self.patches_a_pass)
        return [self.patches_a_pass] * whole + ([rest] if rest else [])


def forecast_tasks(
    runner: Runner,
    tasks: list[Task],
    groups: list[list[int]],
    horizon: Horizon,
    prediction_length: int,
    batch_size: int | None,
    after_batch: Callable[[], object] | None,
    progress: bool | None,
) -> list[Float[np.ndarray, "_ q h"]]:
    """Quantile forecasts of the targets of each task, batch by batch; arguments as for the pipeline."""

    def run(batch: Batch) -> list[Array]:
        # Elsewhere all paths run side by side: an accelerator has room for them, and a mesh splits them.
        tokens = runner.tokens_at_once if runner.one_cpu else None
        return forecast(runner.structure, runner.arrays, runner.config, horizon, batch, runner.sharding(batch), tokens)

    appended = int(runner.config.use_reg_token) + horizon.stretches[0]
    steps = [patches * runner.config.patch_size for patches in horizon.stretches]
    steps[-1] -= sum(steps) - prediction_length
    forecasts: list[Any] = [None] * len(tasks)
    for batch, stretches in runner.run(run, tasks, groups, batch_size, appended, progress):
        forecast_GxVxQxH = np.concatenate([x[..., :n] for x, n in zip(stretches, steps, strict=True)], axis=-1)
        for place in batch.places:
            rows = slice(place.first, place.first + tasks[place.task].num_targets)
            forecasts[place.task] = forecast_GxVxQxH[place.group, rows]
        if after_batch is not None:
            after_batch()
    return forecasts


def forecast(
    structure: Structure,
    params: dict[str, Any],
    config: Chronos2Config,
    horizon: Horizon,
    batch: Batch,
    sharding: Sharding | None = None,
    tokens_at_once: int | None = None,
) -> list[Float[Array, "g v q _"]]:
    """Quantile forecasts, an array for each stretch of the horizon; steps beyond the horizon mean nothing.

    Beyond the first pass, some quantiles of the last stretch become as many parallel histories, with values known ahead
    instead of forecast ones; each is forecast in a group of its own; and the quantiles of the next stretch are those of
    all paths' quantiles together, weighted by the share of the distribution for which each stands.

    The number of patches of every pass is rounded up to a half octave, and what is surplus masked: the forecast is that
    of the exact horizon, and horizons of one bucket share a compilation.

    Args:
        structure: Of the model.
        params: Its parameters, as a nested dictionary.
        config: Its configuration.
        horizon: How far.
        batch: Groups, with values known ahead for no more than the horizon.
        sharding: Of the batch's arrays; JAX's default device if None.
        tokens_at_once: The most positions for which paths run side by side; all at once by default.
    """
    patch = config.patch_size
    first, *others = horizon.stretches
    context, mask = jax.device_put((batch.context_GxVxT, batch.variate_mask_GxV), sharding)

    def known(start: int, patches: int) -> Array | None:
        if batch.future_GxVxH is None:
            return None
        return jax.device_put(_cut(batch.future_GxVxH, start * patch, patches * patch), sharding)

    stretch = _first(
        structure, params, context, mask, known(0, half_octave(first)), first, num_output_patches=half_octave(first)
    )
    stretches = [stretch]
    variates, steps = batch.context_GxVxT.shape[1:]
    for passed, patches in enumerate(others, start=1):
        start = passed * horizon.patches_a_pass
        context_patches = min(half_octave(steps // patch + start), num_patches(config.context_length, patch))
        positions = variates * (context_patches + half_octave(patches) + 1)
        context, stretch = _next(
            structure,
            params,
            context,
            mask,
            stretch,
            known(start - horizon.patches_a_pass, horizon.patches_a_pass),
            known(start, half_octave(patches)),
            patches,
            paths=horizon.paths,
            appended=horizon.patches_a_pass * patch,
            context_length=context_patches * patch,
            num_output_patches=half_octave(patches),
            groups_at_once=max(tokens_at_once // positions, 1) if tokens_at_once else None,
        )
        stretches.append(stretch)
    return stretches


@partial(jax.jit, static_argnums=0, static_argnames="num_output_patches")
def _first(
    structure: Structure,
    params: dict[str, Any],
    context_GxVxT: Float[Array, "g v t"],
    variate_mask_GxV: Bool[Array, "g v"],
    future_GxVxH: Float[Array, "g v h"] | None,
    valid_output_patches: Int[Array, ""] | int,
    *,
    num_output_patches: int,
) -> Float[Array, "g v q steps"]:
    return structure.model(params)(
        context_GxVxT,
        variate_mask_GxV=variate_mask_GxV,
        future_GxVxH=future_GxVxH,
        num_output_patches=num_output_patches,
        valid_output_patches=valid_output_patches,
    )


@partial(
    jax.jit,
    static_argnums=0,
    static_argnames=("paths", "appended", "context_length", "num_output_patches", "groups_at_once"),
)
def _next(
    structure: Structure,
    params: dict[str, Any],
    context: Float[Array, "g v t"] | Float[Array, "g p v t"],
    variate_mask_GxV: Bool[Array, "g v"],
    stretch_GxVxQxH: Float[Array, "g v q _"],
    past_GxVxH: Float[Array, "g v h"] | None,
    future_GxVxH: Float[Array, "g v steps"] | None,
    valid_output_patches: Int[Array, ""] | int,
    *,
    paths: tuple[int, ...],
    appended: int,
    context_length: int,
    num_output_patches: int,
    groups_at_once: int | None,
) -> tuple[Float[Array, "g p v t2"], Float[Array, "g v q steps"]]:
    """The histories of all paths with the last stretch appended, and the next stretch.

    Args:
        structure: Of the model.
        params: Its parameters, as a nested dictionary.
        context: Histories before the last stretch, of all paths where they differ already.
        variate_mask_GxV: True for real variates.
        stretch_GxVxQxH: The last stretch.
        past_GxVxH: What was known ahead of its steps.
        future_GxVxH: What is known of the steps to come.
        valid_output_patches: How many of `num_output_patches` count.
        paths: Indices of the quantiles that go on.
        appended: Steps of the last stretch.
        context_length: Steps of the histories returned: cut, or filled with NaN, on the left.
        num_output_patches: Patches to forecast.
        groups_at_once: How many run side by side; all if None.
    """
    model = structure.model(params)
    groups, variates, quantiles, _ = stretch_GxVxQxH.shape
    ahead_GxPxVxH = stretch_GxVxQxH[:, :, jnp.array(paths), :appended].swapaxes(1, 2)
    if past_GxVxH is not None:
        ahead_GxPxVxH = jnp.where(jnp.isnan(past_GxVxH[:, None]), ahead_GxPxVxH, past_GxVxH[:, None])
    context_GxPxVxT = context[:, None] if context.ndim == 3 else context
    context_GxPxVxT = jnp.broadcast_to(context_GxPxVxT, (*ahead_GxPxVxH.shape[:3], context.shape[-1]))
    context_GxPxVxT = jnp.concatenate([context_GxPxVxT, ahead_GxPxVxH], axis=-1)[..., -context_length:]
    missing = context_length - context_GxPxVxT.shape[-1]
    context_GxPxVxT = jnp.pad(context_GxPxVxT, [(0, 0)] * 3 + [(missing, 0)], constant_values=jnp.nan)

    def each_path(x: Array) -> Array:
        return jnp.repeat(x, len(paths), axis=0)

    def run(arrays: tuple[Array, ...]) -> Array:
        context, mask, *future = arrays
        return model(
            context,
            variate_mask_GxV=mask,
            future_GxVxH=future[0] if future else None,
            num_output_patches=num_output_patches,
            valid_output_patches=valid_output_patches,
        )

    def run_one(arrays: tuple[Array, ...]) -> Array:
        return run(tuple(x[None] for x in arrays))[0]

    arrays: tuple[Array, ...] = (context_GxPxVxT.reshape(-1, variates, context_length), each_path(variate_mask_GxV))
    if future_GxVxH is not None:
        arrays = (*arrays, each_path(future_GxVxH))
    forecasts = jax.lax.map(run_one, arrays, batch_size=groups_at_once) if groups_at_once else run(arrays)
    samples_GxPxVxQxH = forecasts.reshape(groups, len(paths), variates, quantiles, -1)
    samples_GxVxHxPxQ = samples_GxPxVxQxH.transpose(0, 2, 4, 1, 3)
    samples = samples_GxVxHxPxQ.reshape(*samples_GxVxHxPxQ.shape[:3], -1)
    levels = model.config.quantiles
    weights = np.outer(probability_masses([levels[p] for p in paths]), probability_masses(levels))
    next_GxVxHxQ = weighted_quantiles(samples, jnp.array(weights.ravel()), jnp.array(levels, jnp.float32))
    return context_GxPxVxT, next_GxVxHxQ.swapaxes(2, 3)


def _cut(x_GxVxH: Float[np.ndarray, "g v h"], start: int, length: int) -> Float[np.ndarray, "g v length"]:
    """Steps from `start` on, filled up with NaN."""
    cut = x_GxVxH[..., start : start + length]
    return np.pad(cut, [(0, 0), (0, 0), (0, length - cut.shape[-1])], constant_values=np.nan)
