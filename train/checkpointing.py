"""Checkpoints of a run: the best, the last and some between, from which it goes on as if nothing had happened."""

import errno
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import jax
from orbax.checkpoint import v1 as ocp

from train.checksums import damage, seal
from train.processes import on_first, say
from train.step import Standardisation, TrainState

FOLDER = "checkpoints"
Step = Literal["best", "latest"]


class Checkpoints:
    """The folder `checkpoints` of a run, opened by all of its processes together.

    A checkpoint has two parts: "model" (parameters and standardisation: all that embedding needs) and "training"
    (optimiser, step, random key, memory of hard negatives). What a step sees of the data follows from its number.

    Orbax writes in the background, every process the parts of its devices, beside the place; the first process adds the
    checksums of all files, and the folder gets its name. So a killed run leaves whole checkpoints only. One that has
    been damaged since is renamed when a run starts, and the one before is used; where none is left, the run begins
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
        context.asynchronous.post_finalization_callback = lambda: _seal_unfinished(folder)
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
        # What could not be written is said again here, in words that would take the place of the plain ones.
        with suppress(Exception) if error is not None else nullcontext():
            self._orbax.close()

    @property
    def latest(self) -> int | None:
        """Step of the last checkpoint, None where there is none."""
        latest = self._orbax.latest
        return None if latest is None else latest.step

    @property
    def lowest_val_loss(self) -> float:
        """Validation loss of the best checkpoint, infinite where none was validated."""
        return min((_val_loss(one.metrics) for one in self._orbax.checkpoints if one.metrics), default=math.inf)

    def save(self, step: int, state: TrainState, val_loss: float | None) -> None:
        """Begins to save the state after `step` steps; with a validation loss it can become the best.

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
            self._writing = step, self._orbax.save_checkpointables_async(step, _parts(state), metrics=metrics)

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
            ValueError: Its arrays have other shapes than those of `state`.
        """
        parts = self._orbax.load_checkpointables(None, _parts(state))
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

    Args:
        run_dir: Folder of the run.
        step: "best" has the lowest validation loss (the latest where none was validated); "latest" is the last.

    Returns:
        The step, the parameters as nested dictionaries, and the standardisation of features.

    Raises:
        FileNotFoundError: The run has no checkpoint.
        ValueError: The checkpoint is damaged.
    """
    folder = (run_dir / FOLDER).absolute()
    if not folder.is_dir():
        raise FileNotFoundError(f"{run_dir} has no checkpoints: is it the folder of a run that got to its first one?")
    with ocp.training.Checkpointer(folder) as checkpointer:
        if checkpointer.latest is None:
            raise FileNotFoundError(f"{folder} is empty: the run has not got to its first checkpoint")
        number = checkpointer.latest.step
        if step == "best":
            measured = [one for one in checkpointer.checkpoints if one.metrics]
            number = min(measured, key=lambda one: _val_loss(one.metrics)).step if measured else number
        if fault := damage(folder / str(number)):
            raise ValueError(
                f"the checkpoint {folder / str(number)} is damaged ({fault}): train again from the one before by "
                "starting the run again, or delete that folder"
            )
        stored = ocp.metadata(folder / str(number), "model").metadata
        device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        target = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device), stored)
        model = checkpointer.load_checkpointables(number, {"model": target})["model"]
    return number, model["params"], Standardisation(**model["standardisation"])


def _parts(state: TrainState) -> dict[str, Any]:
    fields = state._asdict()
    return {"model": {name: fields.pop(name) for name in ("params", "standardisation")}, "training": fields}


def _val_loss(metrics: Any) -> float:
    return metrics["val_loss"]


def _steps(folder: Path) -> list[int]:
    # Unfinished checkpoints, and damaged ones, have other names than their step.
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit()) if folder.is_dir() else []


def _set_damaged_aside(folder: Path) -> None:
    damaged = False
    for step in reversed(_steps(folder)):
        if (fault := damage(folder / str(step))) is None:
            if damaged:
                say(f"the checkpoint of step {step} is used in its place")
            return
        damaged = True
        aside = folder / f"{step}.damaged"
        number = 1
        while aside.exists():
            number += 1
            aside = folder / f"{step}.damaged-{number}"
        (folder / str(step)).rename(aside)
        say(f"the checkpoint of step {step} is damaged ({fault}): it is kept as {aside}")
    if damaged:
        say("no whole checkpoint is left: the run begins anew")


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
