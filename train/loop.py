"""Training from a configuration to the last checkpoint, top to bottom."""

import math
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

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
from train.feature_shards import Features
from train.flops import training_flops
from train.input import BatchLayout, Captions, Examples, stop_flags, training_batches, validation_batches
from train.metrics import MetricsLog, check_wandb
from train.optimizer import learning_rate_schedule, make_optimizer
from train.processes import Stopped, on_first, stop_requests
from train.run import feature_store, make_model, text_inputs_of
from train.run_lock import run_lock
from train.run_record import record_change, record_start
from train.step import (
    Metrics,
    NotFinite,
    Standardisation,
    TrainState,
    finite_leaves,
    init_state,
    loss_implementation,
    make_train_step,
    make_validation_step,
)
from train.text_encoder import PretrainedTexts
from train.throughput import Throughput, Trace

REMEDY = "The checkpoints are from before that. Lower learning_rate or grad_clip_norm, or raise temperature_init"


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes:
        run_dir: Its folder.
        steps: Steps done, counted from the very beginning.
        resumed_from: Step at which this call took up the run; 0 for a new one.
        encoder_passes: How often this call ran the frozen encoders; 0 where all that they give was stored.
    """

    run_dir: Path
    steps: int
    resumed_from: int
    encoder_passes: int


class NonFiniteError(RuntimeError):
    """A loss or a parameter was not a number; the message says at which step and what else was not."""


def train(config: TrainConfig, *, force: bool = False) -> Outcome:
    """Trains, or goes on where an earlier call on the same `output_dir` was ended; then it ends as if it had not been.

    All processes of a run call it alike (`train.processes.connect` comes first).

    Args:
        config: The run; its `output_dir` is its folder.
        force: Go on with a run that began with another configuration or other data.

    Raises:
        FileNotFoundError, ValueError, ModuleNotFoundError: Something is wrong with the configuration or the data. These
            come before anything is compiled.
        RuntimeError: Another run is using the folder.
        OSError: Something cannot be written; what was written before is whole.
        NonFiniteError: A loss or a parameter is not finite. The checkpoints are from before.
        Stopped: SIGTERM came; there is a checkpoint of the last step, or of all features that were computed.
    """
    check_wandb(config)
    mesh = make_mesh(config.mesh.model_dump())
    with stop_requests() as stop, run_lock(config.output_dir):
        return _train(config, mesh, stop, force)


def _train(config: TrainConfig, mesh: Mesh, stop: Callable[[], bool], force: bool) -> Outcome:
    train_split, val_split = open_splits(config)
    _check_sizes(config, len(val_split), mesh)
    train_captions, val_captions = captions_of(train_split, config), captions_of(val_split, config)
    text_inputs = text_inputs_of(config, train_captions, mesh)

    encoder = load_encoder(config, mesh)
    inputs = {"train": train_split.fingerprint, "validation": val_split.fingerprint, "encoder": encoder.identity}
    on_first(lambda: record_start(config, inputs, text_inputs, force=force))
    train_texts, val_texts = (Captions.of(own, text_inputs, stop) for own in (train_captions, val_captions))
    if isinstance(text_inputs, PretrainedTexts):
        text_inputs.release()
    store = feature_store(config)
    train_features, val_features = (store.get(split, encoder, stop) for split in (train_split, val_split))
    del encoder  # and with it its weights on the devices
    examples, val_examples = Examples(train_features, train_texts), Examples(val_features, val_texts)

    steps_per_epoch = len(train_split) // config.batch_size
    total_steps = config.total_steps(steps_per_epoch)
    val_interval = config.val_interval or steps_per_epoch
    save_interval = config.save_interval or val_interval

    schedule = learning_rate_schedule(config.learning_rate, config.warmup_ratio, total_steps)
    optimizer = make_optimizer(
        schedule, betas=config.betas, weight_decay=config.weight_decay, grad_clip_norm=config.grad_clip_norm
    )
    model = make_model(config, train_features.shape[1], text_inputs)
    state = init_state(model, Standardisation.of(*train_features.moments()), optimizer, config, mesh)
    train_step = make_train_step(model, optimizer, schedule, config, state)
    validation_step = make_validation_step(model, config, mesh)
    layout = BatchLayout(mesh, config.batch_size)
    flags = [stop_flags(mesh, stop) for stop in (False, True)]

    def validate(batches: int | None = None) -> dict[str, float] | None:
        windows = validation_batches(val_examples, mesh, batch_size=config.batch_size)
        return _mean(validation_step(state, batch, flags[stop()]) for batch in islice(windows, batches))

    with Checkpoints(config.output_dir, keep_last=config.keep_last, keep_every=config.keep_every) as checkpoints:
        resumed_from = checkpoints.latest or 0
        if resumed_from:
            state = checkpoints.restore(state)
        if force:
            on_first(lambda: record_change(config, inputs, text_inputs))
        batches = training_batches(examples, layout, seed=config.seed, start=resumed_from, workers=config.num_workers)
        flops = training_flops(state.params, config.batch_size, len(state.memory.text_ids_M) if state.memory else 0)
        throughput = Throughput(mesh, config.batch_size, flops)
        trace = Trace(config.output_dir / "profile" if config.profile else None, resumed_from)
        with (
            closing(batches),
            MetricsLog(config.output_dir, config, resumed_from) as log,
            progress_bar("{task.fields[numbers]}") as progress,
        ):
            encoded: dict[str, Any] = {
                "train": train_features,
                "validation": val_features,
                "train_texts": train_texts.text_inputs_UxK,
                "validation_texts": val_texts.text_inputs_UxK,
            }
            passes = {part: of.encoder_passes for part, of in encoded.items() if isinstance(of, Features)}
            log.write(resumed_from, "encoder", {f"passes_{part}": count for part, count in passes.items()})
            log.write(
                resumed_from,
                "start",
                {
                    "devices": mesh.devices.size,
                    "device_kind": mesh.devices.flat[0].device_kind,
                    "processes": jax.process_count(),
                    "mesh": dict(mesh.shape),
                    "loss_implementation": loss_implementation(config, mesh),
                    "model_flops": flops,
                },
            )
            task = progress.add_task("training", total=total_steps, completed=resumed_from, numbers="")
            pending: tuple[int, Metrics, NotFinite] | None = None
            lowest = checkpoints.lowest_val_loss

            def conclude(step: int, *, validates: bool, saves: bool, stops: bool) -> None:
                """Validates and saves after a step, and ends the run where it is to stop."""
                nonlocal lowest
                validation = validate() if validates else None
                stops |= validates and validation is None
                val_loss = None
                if validation is not None:
                    log.write(step, "validation", validation)
                    val_loss = validation["loss"]
                best = val_loss is not None and not val_loss >= lowest  # NaN is, too, and ends the run
                if saves or stops or best:
                    # Where it is not validated, one batch tells whether what is saved can be gone on with.
                    one = validate(batches=1) if val_loss is None else validation
                    _check_finite_after(step, state, None if one is None else one["loss"])
                    checkpoints.save(step, state, val_loss)
                    lowest = min(lowest, math.inf if val_loss is None else val_loss)
                if stops and (step < total_steps or validation is None):
                    checkpoints.wait()
                    raise Stopped(f"stopped after step {step} of {total_steps}, now saved: start it again to go on")

            owed = resumed_from % val_interval == 0 or resumed_from == total_steps
            if resumed_from and owed and not checkpoints.is_measured:
                conclude(resumed_from, validates=True, saves=True, stops=False)  # it was stopped while it validated
            throughput.start(resumed_from)
            for step in range(resumed_from + 1, total_steps + 1):
                with throughput.waiting():
                    batch = next(batches)
                trace.before(step)
                state, metrics, finite = train_step(state, batch, flags[stop()])
                # A step behind, so that the devices do not wait for the look at their result. All processes see the
                # same, and so stop after the same step.
                stops = pending is not None and _look(*pending)
                if step == resumed_from + 2:
                    throughput.start(step - 1)  # the first step waited for the compiler
                pending = (step, metrics, finite)
                progress.advance(task)
                logs, validates = step % config.log_interval == 0, step % val_interval == 0
                saves, ends = step % save_interval == 0, step == total_steps
                trace.after(step, metrics, last=stops or ends)
                if not (logs or validates or saves or ends or stops):
                    continue
                _look(*pending)
                if logs or ends:
                    numbers = _numbers(metrics) | throughput.numbers(step) | {"epoch": step / steps_per_epoch}
                    log.write(step, "train", numbers)
                    _show(progress, task, numbers)
                conclude(step, validates=validates or ends, saves=saves or ends, stops=stops)
                throughput.start(step)
    return Outcome(config.output_dir, max(total_steps, resumed_from), resumed_from, sum(passes.values()))


def _check_sizes(config: TrainConfig, validation_windows: int, mesh: Mesh) -> None:
    for key, axis in (("projection_hidden_dim", "tensor"), ("output_dim", "fsdp")):
        if (width := getattr(config, key)) % mesh.shape[axis]:
            raise ValueError(
                f"{key} {width} must be a multiple of the {mesh.shape[axis]} devices that share it (mesh.{axis})"
            )
    shards = batch_shards(mesh)
    if config.batch_size % shards:
        raise ValueError(
            f"batch_size {config.batch_size} must be a multiple of the {shards} devices that share a batch "
            "(mesh.data × mesh.fsdp)"
        )
    if validation_windows < shards:
        raise ValueError(
            f"the validation split has {validation_windows} windows, fewer than the {shards} devices that share a "
            "batch (mesh.data × mesh.fsdp): validate on more, or lay fewer devices on these axes"
        )


def _mean(measured: Iterable[Metrics]) -> dict[str, float] | None:
    """Means over batches; None where a process wants to stop before the last.

    One batch is computed while the one before is fetched, so that few are in memory at a time.
    """
    fetched: list[Metrics] = []
    pending = None
    for metrics in measured:
        if pending is not None:
            fetched.append(jax.device_get(pending))
            if fetched[-1]["stop"]:
                return None
        pending = metrics
    fetched.append(jax.device_get(pending))
    return {name: float(np.mean([one[name] for one in fetched])) for name in fetched[0] if name != "stop"}


def _numbers(metrics: Metrics) -> dict[str, float]:
    return {name: float(value) for name, value in jax.device_get(metrics).items() if name != "stop"}


def _look(step: int, metrics: Metrics, finite: NotFinite) -> bool:
    """Whether some process wants to stop.

    Raises:
        NonFiniteError: The loss is not finite, with what else was not.
    """
    loss, stop = jax.device_get((metrics["loss"], metrics["stop"]))
    if np.isfinite(loss):
        return bool(stop)
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


def _check_finite_after(step: int, state: TrainState, val_loss: float | None) -> None:
    """The loss of a step is that of the parameters before it: what it made of them shows only here."""
    names = _not_finite(jax.device_get(finite_leaves(state.params)))
    if names or (val_loss is not None and not np.isfinite(val_loss)):
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
