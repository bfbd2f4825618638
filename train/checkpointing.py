"""Checkpoints of a run: the best, the last and some between, from which it goes on as if nothing had happened."""

import errno
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import jax
from orbax.checkpoint import v1 as ocp

from train.checksums import damage, seal
from train.processes import on_first, say
from train.step import Standardisation, TrainState

FOLDER = "checkpoints"
WRITTEN_WITHIN_S = 300  # else, or where one process cannot write, all end
Step = Literal["best", "latest"]


class Checkpoints:
    """The folder `checkpoints` of a run, opened by all of its processes together.

    A checkpoint has two parts: "model" (parameters and standardisation: all that embedding needs) and "training"
    (optimiser, step, random key, memory of hard negatives). What a step sees of the data follows from its number.

    Orbax writes in the background, every process the parts of its devices, beside the place; the first process adds the
    checksums of all files, and the folder gets its name. So a killed run leaves whole checkpoints only. Those that have
    been damaged since are renamed when a run starts, and the last whole one is used; where none is left, the run begins
    anew. Either is said.
    """

    def __init__(self, run_dir: Path, *, keep_last: int, keep_every: int | None = None) -> None:
        folder = (run_dir / FOLDER).absolute()
        on_first(lambda: _set_damaged_aside(folder))
        policies = ocp.training.preservation_policies
        kept: list[Any] = [
            policies.LatestN(keep_last),
            policies.BestN(get_metric_fn=_val_loss, reverse=True, n=1, keep_checkpoints_without_metrics=False),
        ]
        if keep_every is not None:
            kept.append(policies.EveryNSteps(keep_every))
        context = ocp.Context()
        context.asynchronous.timeout_secs = WRITTEN_WITHIN_S
        context.asynchronous.post_finalization_callback = lambda: _seal_unfinished(folder)
        context.array.saving.use_compression = False  # floats hardly become smaller, for a sixth of the time
        context.array.saving.enable_write_sharding_file = False  # whoever reads says where the arrays are to be
        self._orbax = ocp.training.Checkpointer(
            folder,
            context=context,
            save_decision_policy=ocp.training.save_decision_policies.FixedIntervalPolicy(1),
            preservation_policy=policies.AnyPreservationPolicy(kept),
            cleanup_tmp_directories=True,
        )
        self._folder = folder
        self._writing: tuple[int, Any] | None = None

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.wait()
            self._orbax.close()
        elif jax.process_count() == 1:  # of several, the others may never come to where closing waits for them
            # What could not be written is said again here, in words that would take the place of the plain ones.
            with suppress(Exception):
                self._orbax.close()

    @property
    def latest(self) -> int | None:
        """Step of the last checkpoint, None where there is none."""
        latest = self._orbax.latest
        return None if latest is None else latest.step

    @property
    def is_measured(self) -> bool:
        """Whether the last checkpoint has a validation loss."""
        latest = self._orbax.latest
        return latest is not None and bool(latest.metrics)

    @property
    def lowest_val_loss(self) -> float:
        """Validation loss of the best checkpoint, infinite where none was validated."""
        return min((_val_loss(one.metrics) for one in self._orbax.checkpoints if one.metrics), default=math.inf)

    def save(self, step: int, state: TrainState, val_loss: float | None) -> None:
        """Begins to save the state after `step` steps; with a validation loss it can become the best.

        One of the same step is replaced: it was saved before it was validated.
        The arrays are copied before this returns, the files are written behind. One at a time: it waits for the one
        before.

        Raises:
            ValueError: The validation loss is not finite; nothing is saved.
            OSError: This one or the one before cannot be written, with why.
        """
        if val_loss is not None and not math.isfinite(val_loss):
            raise ValueError(f"validation loss {val_loss} after step {step}: expected a finite one, not saved")
        self.wait()
        metrics = None if val_loss is None else {"val_loss": val_loss}
        with self._plain_faults(step):
            response = self._orbax.save_checkpointables_async(
                step, _parts(state), overwrite=step == self.latest, metrics=metrics
            )
            self._writing = step, response

    def wait(self) -> None:
        """Waits until what is being saved is on disk.

        Raises:
            OSError: It cannot be written, with why.
        """
        if self._writing is not None:
            (step, response), self._writing = self._writing, None
            with self._plain_faults(step):
                response.result()

    def restore(self, state: TrainState) -> TrainState:
        """The latest checkpoint, laid out as `state` is, whatever mesh and processes it was saved from.

        Raises:
            ValueError: Its arrays have other shapes than those of `state`, or are others; with the first of them.
        """
        parts = _parts(state)
        _check_shapes(self._folder / str(self.latest), parts)
        parts = self._orbax.load_checkpointables(None, parts)
        return TrainState(**parts["model"], **parts["training"])

    @contextmanager
    def _plain_faults(self, step: int) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if (code := _system_error(error)) is None:
                raise
            raise OSError(
                code,
                f"the checkpoint of step {step} could not be written ({os.strerror(code)}). Those before it are whole: "
                "make room and start the run again",
                str(self._folder),
            ) from error


def has_checkpoint(run_dir: Path) -> bool:
    """Whether a run got to its first checkpoint."""
    return bool(_steps((run_dir / FOLDER).absolute()))


def load_model(run_dir: Path, step: Step = "best") -> tuple[int, Any, Standardisation]:
    """Parameters of a run on one device, without what only training needs.

    Nothing is written.

    Args:
        run_dir: Folder of the run.
        step: "best" has the lowest validation loss of those that are whole (the latest where none was validated);
            "latest" is the last.

    Returns:
        The step, the parameters as nested dictionaries, and the standardisation of features.

    Raises:
        FileNotFoundError: The run has no checkpoint.
        ValueError: The latest checkpoint is damaged, or with "best" all of them.
    """
    folder = (run_dir / FOLDER).absolute()
    if not folder.is_dir():
        raise FileNotFoundError(f"{run_dir} has no checkpoints: is it the folder of a run that got to its first one?")
    steps = _steps(folder)
    if not steps:
        raise FileNotFoundError(f"{folder} is empty: the run has not got to its first checkpoint")
    faults = {number: damage(folder / str(number)) for number in (steps if step == "best" else steps[-1:])}
    damaged = [
        f"the checkpoint {folder / str(number)} is damaged ({fault})" for number, fault in faults.items() if fault
    ]
    whole = [number for number, fault in faults.items() if not fault]
    if not whole:
        raise ValueError(
            "; ".join(damaged) + ". Start the run again: it sets aside what is damaged and goes on from the last whole "
            "one, or begins anew"
        )
    for fault in damaged:
        say(f"{fault}: the best of the others is used")
    number = min(whole, key=lambda number: (_loss_of(folder / str(number)), -number))
    # Not by a Checkpointer, which reads something of every checkpoint, damaged ones as well.
    path = folder / str(number)
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    target = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device),
        ocp.metadata(path, "model").metadata,
    )
    model = ocp.load_checkpointables(path, {"model": target})["model"]
    return number, model["params"], Standardisation(**model["standardisation"])


def _loss_of(checkpoint: Path) -> float:
    metrics = checkpoint / "metrics" / "metrics"
    return _val_loss(json.loads(metrics.read_text())) if metrics.is_file() else math.inf


def _check_shapes(checkpoint: Path, parts: dict[str, Any]) -> None:
    for name, part in parts.items():
        made, stored = _shapes(part), _shapes(ocp.metadata(checkpoint, name).metadata)
        for array in sorted(made.keys() | stored.keys()):
            here, there = made.get(array), stored.get(array)
            if here != there:
                has = f"no {array}" if there is None else f"{array} of shape {there}"
                makes = "none" if here is None else f"one of shape {here}"
                raise ValueError(
                    f"the checkpoint {checkpoint} has {has}, the configuration makes {makes}: that cannot be gone on "
                    "with. Give the run's own configuration to continue it, or another output_dir to begin a new one"
                )


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    """Of all arrays by name, those of the state or what Orbax tells of them."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): _stored_shape(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def _stored_shape(array: Any) -> tuple[int, ...]:
    if jax.dtypes.issubdtype(array.dtype, jax.dtypes.prng_key):
        return jax.eval_shape(jax.random.key_data, array).shape
    return tuple(array.shape)


def _parts(state: TrainState) -> dict[str, Any]:
    fields = state._asdict()
    return {"model": {name: fields.pop(name) for name in ("params", "standardisation")}, "training": fields}


def _val_loss(metrics: Any) -> float:
    return metrics["val_loss"]


def _steps(folder: Path) -> list[int]:
    # Unfinished checkpoints, and damaged ones, have other names than their step.
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit()) if folder.is_dir() else []


def _set_damaged_aside(folder: Path) -> None:
    steps = _steps(folder)
    for step in reversed(steps):
        if (fault := damage(folder / str(step))) is None:
            continue
        aside = folder / f"{step}.damaged"
        number = 1
        while aside.exists():
            number += 1
            aside = folder / f"{step}.damaged-{number}"
        (folder / str(step)).rename(aside)
        say(f"the checkpoint of step {step} is damaged ({fault}): it is kept as {aside}")
    whole = _steps(folder)
    if steps and not whole:
        say("no whole checkpoint is left: the run begins anew")
    elif steps and whole[-1] != steps[-1]:
        say(f"the checkpoint of step {whole[-1]} is used in its place")


def _seal_unfinished(folder: Path) -> None:
    # Orbax calls this when all processes have written, before the folder gets its name.
    for path in folder.iterdir():
        if path.is_dir() and path.name.endswith(".orbax-checkpoint-tmp"):
            seal(path)


def _system_error(error: BaseException | None) -> int | None:
    """The number of the system's error behind this one; TensorStore tells it in words only."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error.errno
        for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES):
            if os.strerror(code) in str(error):
                return code
        error = error.__cause__ or error.__context__
    return None
