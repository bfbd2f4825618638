"""Chronos-2 through this implementation and through the PyTorch reference, compared."""

import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from rich.console import Console
from rich.progress import track

from chronos_jax.checkpoints.loading import load_params
from chronos_jax.checkpoints.saving import save_safetensors
from chronos_jax.checkpoints.sources import Source
from chronos_jax.chronos2.config import Chronos2Config
from chronos_jax.families import Family
from convert.reference import relative, require

FUTURE_PATCHES = 2


class Outputs(NamedTuple):
    """What a model says of one input."""

    embedding: Float[np.ndarray, "v s d"]
    forecast: Float[np.ndarray, "v q h"]
    loc: Float[np.ndarray, "v 1"]
    scale: Float[np.ndarray, "v 1"]


def differences(source: Source, family: Family) -> dict[str, dict[str, float]]:
    """Input → quantity → the largest relative difference from the reference (see `compare`).

    Raises:
        CheckpointError: the reference is not installed, or the checkpoint is damaged.
    """
    require("torch", "chronos", "peft")
    config = Chronos2Config.from_dict(family.config)
    params = load_params(source, family.table)
    reference = _reference_pipeline(source, params, family)

    inputs = example_inputs()
    ours = _ours(config, params, inputs)
    found = {}
    console = Console(stderr=True)
    for name in track(inputs, "reference", console=console, disable=not sys.stderr.isatty(), transient=True):
        valid = _observed_positions(inputs[name], config)
        found[name] = compare(ours[name], _theirs(reference, inputs[name]), valid)
    return found


def example_inputs() -> dict[str, Float[np.ndarray, "v t"]]:
    """Series (variates, time) that are the same on every call: short, long, multivariate, with gaps, constant."""
    rng = np.random.default_rng(0)

    def walk(variates: int, steps: int) -> Float[np.ndarray, "v t"]:
        season = 3 * np.sin(np.arange(steps) * 2 * np.pi / 24)
        return (rng.standard_normal((variates, steps)).cumsum(1) + season[None, :]).astype(np.float32)

    gaps, ragged = walk(2, 100), walk(3, 64)
    gaps[0, 40:75], gaps[1, ::3] = np.nan, np.nan
    ragged[1, :30], ragged[2, :63] = np.nan, np.nan
    lengths = {f"{steps} steps": walk(1, steps) for steps in (1, 15, 16, 17, 512)}
    constant = np.full((1, 48), 5, np.float32)
    return lengths | {
        "3 variates": walk(3, 64),
        "ragged": ragged,
        "NaN inside": gaps,
        "constant": constant,
        "values of 1e8": walk(2, 64) * np.float32(1e8),
    }


def compare(ours: Outputs, theirs: Outputs, valid: Bool[np.ndarray, "v s"]) -> dict[str, float]:
    """Largest difference of each quantity: embeddings at valid positions and forecasts relative to the reference's
    largest value, loc in units of its scale, scale relative to it. Not finite where a value is not.
    """
    return {
        "embedding": relative(ours.embedding[valid], theirs.embedding[valid]),
        "forecast": relative(ours.forecast, theirs.forecast),
        "loc": float(np.abs((ours.loc - theirs.loc) / theirs.scale).max()),
        "scale": float(np.abs(ours.scale / theirs.scale - 1).max()),
    }


def _observed_positions(series: Float[np.ndarray, "v t"], config: Chronos2Config) -> Bool[np.ndarray, "v s"]:
    """Which positions of the encoder mean something: patches with an observed value, REG and the future patches."""
    variates, steps = series.shape
    padded = np.pad(~np.isnan(series), ((0, 0), (-steps % config.patch_size, 0)))
    observed = padded.reshape(variates, -1, config.patch_size).any(-1)
    return np.pad(observed, ((0, 0), (0, config.use_reg_token + FUTURE_PATCHES)), constant_values=True)


def _ours(
    config: Chronos2Config, params: dict[str, Any], inputs: dict[str, Float[np.ndarray, "_ _"]]
) -> dict[str, Outputs]:
    """All inputs at once, padded to one shape that compiles once: an output does not depend on the others."""
    import jax
    from flax import nnx

    from chronos_jax.chronos2.pipeline import Chronos2Pipeline

    variates, steps = (max(series.shape[axis] for series in inputs.values()) for axis in (0, 1))
    context_GxVxT = np.full((len(inputs), variates, steps), np.nan, np.float32)
    for group, series in enumerate(inputs.values()):
        context_GxVxT[group, : series.shape[0], steps - series.shape[1] :] = series
    variate_mask_GxV = np.arange(variates)[None, :] < np.array([[len(series)] for series in inputs.values()])

    graphdef, state = nnx.split(Chronos2Pipeline(config, params).model)

    @jax.jit
    def run(state: Any, context: jax.Array, variate_mask: jax.Array) -> Any:
        model = nnx.merge(graphdef, state)
        encoded = model.encode(context, variate_mask_GxV=variate_mask, num_output_patches=FUTURE_PATCHES)
        forecast = model(context, variate_mask_GxV=variate_mask, num_output_patches=FUTURE_PATCHES)
        return encoded, forecast

    with jax.default_matmul_precision("highest"):
        encoded, forecasts = jax.device_get(run(state, context_GxVxT, variate_mask_GxV))
    outputs = {}
    for group, (name, series) in enumerate(inputs.items()):
        real, positions = slice(len(series)), _observed_positions(series, config).shape[1]
        outputs[name] = Outputs(
            encoded.hidden_GxVxSxD[group, real, -positions:],
            forecasts[group, real],
            encoded.loc_GxVx1[group, real],
            encoded.scale_GxVx1[group, real],
        )
    return outputs


def _theirs(reference: Any, series: Float[np.ndarray, "v t"]) -> Outputs:
    import torch

    arguments = {
        "context": torch.tensor(series),
        "group_ids": torch.zeros(len(series)),
        "num_output_patches": FUTURE_PATCHES,
    }
    with torch.no_grad():
        encoded, (loc, scale), *_ = reference.model.encode(**arguments)
        forecast = reference.model(**arguments).quantile_preds
    return Outputs(*(x.numpy() for x in (encoded[0], forecast, loc, scale)))


def _reference_pipeline(source: Source, params: dict[str, Any], family: Family) -> Any:
    """The reference's pipeline in float32; it merges an adapter by itself, and gets what Orbax holds as safetensors."""
    import chronos
    import peft
    import transformers

    transformers.utils.logging.disable_progress_bar()
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as temporary:
        warnings.simplefilter("ignore")
        folder = (source.base or source).folder
        if source.kind == "orbax":
            folder = Path(temporary) / "safetensors"
            save_safetensors(folder, params, family.table, family.config)
        reference = chronos.Chronos2Pipeline.from_pretrained(folder, dtype="float32")
        if source.kind == "lora":
            merged = peft.PeftModel.from_pretrained(reference.model, source.folder).merge_and_unload()
            reference = chronos.Chronos2Pipeline(model=merged)
    reference.model.eval()
    return reference
