"""Training from a configuration to the last checkpoint, top to bottom."""

import math
import time
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import PyTree
from rich.progress import Progress, TaskID

from chronos_jax.progress import progress_bar
from chronos_jax.sharding import batch_shards, make_mesh
from train.checkpointing import Checkpoints
from train.config import TrainConfig
from train.data import captions_of, open_splits
from train.encoder import load_encoder
from train.features import FeatureStore
from train.input import Batch, Captions, Examples, to_devices, training_batches, validation_batches
from train.metrics import MetricsLog, check_wandb
from train.optimizer import learning_rate_schedule, make_optimizer
from train.run import make_model, record_start, text_inputs_of
from train.step import (
    Metrics,
    NotFinite,
    Standardisation,
    TrainState,
    ValidationStep,
    finite_leaves,
    init_state,
    make_train_step,
    make_validation_step,
)

REMEDY = "The checkpoints are from before that. Lower learning_rate or grad_clip_norm, or raise temperature_init"


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes:
        run_dir: Its folder.
        steps: Steps done, counted from the very beginning.
        resumed_from: Step at which this call took up the run; 0 for a new one.
        encoder_passes: How often this call ran the frozen encoder; 0 where all features were stored.
    """

    run_dir: Path
    steps: int
    resumed_from: int
    encoder_passes: int


class NonFiniteError(RuntimeError):
    """A loss or a parameter was not a number; the message says at which step and what else was not."""


def train(config: TrainConfig) -> Outcome:
    """Trains, or goes on where an earlier call on the same `output_dir` was ended; then it ends as if it had not been.

    Raises:
        FileNotFoundError, ValueError, ModuleNotFoundError: Something is wrong with the configuration or the data. These
            come before anything is compiled.
        NonFiniteError: A loss or a parameter is not finite. The checkpoints are from before.
    """
    check_wandb(config)
    mesh = make_mesh({"data": config.mesh_data, "fsdp": config.mesh_fsdp, "tensor": config.mesh_tensor})
    train_split, val_split = open_splits(config)
    _check_sizes(config, len(val_split), mesh)
    train_captions, val_captions = captions_of(train_split, config), captions_of(val_split, config)
    text_inputs = text_inputs_of(config, train_captions)
    train_texts, val_texts = Captions.of(train_captions, text_inputs), Captions.of(val_captions, text_inputs)

    encoder = load_encoder(config, mesh)
    inputs = {"train": train_split.fingerprint, "validation": val_split.fingerprint, "encoder": encoder.identity}
    record_start(config, inputs, text_inputs)
    store = FeatureStore(config.features_dir or config.output_dir / "features")
    train_features, val_features = store.get(train_split, encoder), store.get(val_split, encoder)
    examples = Examples(train_features.array_NxF, train_texts)

    steps_per_epoch = len(train_split) // config.batch_size
    total_steps = config.total_steps(steps_per_epoch)
    val_interval = config.val_interval or steps_per_epoch
    save_interval = config.save_interval or val_interval

    schedule = learning_rate_schedule(config.learning_rate, config.warmup_ratio, total_steps)
    optimizer = make_optimizer(
        schedule, betas=config.betas, weight_decay=config.weight_decay, grad_clip_norm=config.grad_clip_norm
    )
    model = make_model(config, train_features.array_NxF.shape[1], text_inputs)
    state = init_state(model, Standardisation.of(train_features.array_NxF), optimizer, config, mesh)
    train_step = make_train_step(model, optimizer, schedule, config, state)
    validation_step = make_validation_step(model, config)
    batches = training_batches(examples, batch_size=config.batch_size, seed=config.seed, workers=config.num_workers)
    val_batches = [
        to_devices(batch, mesh)
        for batch in validation_batches(
            Examples(val_features.array_NxF, val_texts), batch_size=config.batch_size, shards=batch_shards(mesh)
        )
    ]

    with Checkpoints(config.output_dir, config.keep_last) as checkpoints:
        resumed_from = checkpoints.latest or 0
        if resumed_from:
            state = checkpoints.restore(state, batches)
        with (
            MetricsLog(config.output_dir, config, resumed_from) as log,
            progress_bar("{task.fields[numbers]}") as progress,
        ):
            passes = {"train": train_features.encoder_passes, "validation": val_features.encoder_passes}
            log.write(resumed_from, "encoder", {f"passes_{split}": count for split, count in passes.items()})
            task = progress.add_task("training", total=total_steps, completed=resumed_from, numbers="")
            pending: tuple[int, Metrics, NotFinite] | None = None
            since, since_step = time.perf_counter(), resumed_from
            lowest = checkpoints.lowest_val_loss
            for step in range(resumed_from + 1, total_steps + 1):
                state, metrics, finite = train_step(state, to_devices(next(batches), mesh))
                if pending is not None:
                    # A step behind, so that the devices do not wait for the look at their result.
                    _check_finite(*pending)
                pending = (step, metrics, finite)
                progress.advance(task)
                logs, validates = step % config.log_interval == 0, step % val_interval == 0
                saves, ends = step % save_interval == 0, step == total_steps
                if not (logs or validates or saves or ends):
                    continue
                _check_finite(*pending)
                if logs or ends:
                    numbers = _numbers(metrics)
                    elapsed = time.perf_counter() - since
                    numbers["windows_per_second"] = (step - since_step) * config.batch_size / elapsed
                    numbers["epoch"] = step / steps_per_epoch
                    log.write(step, "train", numbers)
                    _show(progress, task, numbers)
                val_loss = None
                if validates or ends:
                    validation = _validate(validation_step, state, val_batches)
                    log.write(step, "validation", validation)
                    val_loss = validation["loss"]
                if saves or ends or (val_loss is not None and not val_loss >= lowest):  # NaN comes in, too, and ends
                    # Where it is not validated, one batch tells whether what is saved can be gone on with.
                    loss = _validate(validation_step, state, val_batches[:1])["loss"] if val_loss is None else val_loss
                    _check_finite_after(step, state, loss)
                    checkpoints.save(state, batches, val_loss)
                    lowest = min(lowest, math.inf if val_loss is None else val_loss)
                since, since_step = time.perf_counter(), step
    return Outcome(config.output_dir, max(total_steps, resumed_from), resumed_from, sum(passes.values()))


def _check_sizes(config: TrainConfig, validation_windows: int, mesh: Mesh) -> None:
    for key, axis in (("projection_hidden_dim", "tensor"), ("output_dim", "fsdp")):
        if (width := getattr(config, key)) % mesh.shape[axis]:
            raise ValueError(
                f"{key} {width} must be a multiple of the {mesh.shape[axis]} devices that share it (mesh_{axis})"
            )
    shards = batch_shards(mesh)
    if config.batch_size % shards:
        raise ValueError(
            f"batch_size {config.batch_size} must be a multiple of the {shards} devices that share a batch "
            "(mesh_data × mesh_fsdp)"
        )
    if validation_windows < shards:
        raise ValueError(
            f"the validation split has {validation_windows} windows, fewer than the {shards} devices that share a "
            "batch (mesh_data × mesh_fsdp): validate on more, or lay fewer devices on these axes"
        )


def _validate(validation_step: ValidationStep, state: TrainState, batches: list[Batch]) -> dict[str, float]:
    measured = jax.device_get([validation_step(state, batch) for batch in batches])
    return {name: float(np.mean([metrics[name] for metrics in measured])) for name in measured[0]}


def _numbers(metrics: Metrics) -> dict[str, float]:
    return {name: float(value) for name, value in jax.device_get(metrics).items()}


def _check_finite(step: int, metrics: Metrics, finite: NotFinite) -> None:
    if np.isfinite(loss := jax.device_get(metrics["loss"])):
        return
    where = jax.device_get(finite)
    causes = [
        f"{what}: {', '.join(names)}"
        for what, names in (
            ("features of the batch", [] if where.features else ["frozen encoder"]),
            ("parameters before the step", _not_finite(where.parameters)),
            ("gradients", _not_finite(where.gradients)),
        )
        if names
    ]
    raise NonFiniteError(
        f"the loss at step {step} is {loss}; not finite are "
        + ("; ".join(causes) or "no inputs, only the loss itself")
        + f". {REMEDY}"
    )


def _check_finite_after(step: int, state: TrainState, val_loss: float) -> None:
    """The loss of a step is that of the parameters before it: what it made of them shows only here."""
    names = _not_finite(jax.device_get(finite_leaves(state.params)))
    if names or not np.isfinite(val_loss):
        raise NonFiniteError(
            f"after step {step} the validation loss is {val_loss}"
            + (f"; not finite are parameters: {', '.join(names)}" if names else "")
            + f". {REMEDY}"
        )


def _not_finite(finite: PyTree) -> list[str]:
    leaves = jax.tree_util.tree_leaves_with_path(finite)
    return [jax.tree_util.keystr(path, simple=True, separator=".") for path, ok in leaves if not ok]


def _show(progress: Progress, task: TaskID, numbers: dict[str, float]) -> None:
    progress.update(
        task,
        numbers=f"loss {numbers['loss']:.3f} · accuracy {numbers['accuracy_window_to_text']:.0%} to text, "
        f"{numbers['accuracy_text_to_window']:.0%} to window · temperature {numbers['temperature']:.3f} · "
        f"{numbers['windows_per_second']:,.0f} windows/s",
    )
