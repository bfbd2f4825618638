"""Checkpoints of a run: the best and the last ones, from which it goes on as if nothing had happened."""

import math
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import grain
import jax
from orbax.checkpoint import v1 as ocp

from train.step import Standardisation, TrainState

FOLDER = "checkpoints"
Step = Literal["best", "latest"]


class Checkpoints:
    """The folder `checkpoints` of a run.

    A checkpoint has three parts: "model" (parameters and standardisation: all that embedding needs), "training"
    (optimiser, step, random key, memory of hard negatives) and "input" (position in the data). Orbax writes it beside
    and renames it, so a killed run leaves whole checkpoints only.
    """

    def __init__(self, run_dir: Path, keep_last: int) -> None:
        policies = ocp.training.preservation_policies
        self._orbax = ocp.training.Checkpointer(
            (run_dir / FOLDER).absolute(),
            save_decision_policy=ocp.training.save_decision_policies.FixedIntervalPolicy(1),
            preservation_policy=policies.AnyPreservationPolicy(
                [
                    policies.LatestN(keep_last),
                    policies.BestN(get_metric_fn=_val_loss, reverse=True, n=1, keep_checkpoints_without_metrics=False),
                ]
            ),
            cleanup_tmp_directories=True,
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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

    def save(self, state: TrainState, batches: grain.DatasetIterator, val_loss: float | None) -> None:
        """Saves the state after `state.step` steps; with a validation loss it can become the best.

        Raises:
            ValueError: The validation loss is not finite; nothing is saved.
        """
        if val_loss is not None and not math.isfinite(val_loss):
            raise ValueError(f"validation loss {val_loss} after step {state.step}: expected a finite one, not saved")
        parts = _parts(state) | {"input": batches}
        metrics = None if val_loss is None else {"val_loss": val_loss}
        self._orbax.save_checkpointables(int(state.step), parts, metrics=metrics)

    def restore(self, state: TrainState, batches: grain.DatasetIterator) -> TrainState:
        """The latest checkpoint, laid out as `state` is; moves `batches` to where it was.

        Raises:
            ValueError: Its arrays have other shapes than those of `state`.
        """
        parts = self._orbax.load_checkpointables(None, _parts(state) | {"input": batches})
        return TrainState(**parts["model"], **parts["training"])


def has_checkpoint(run_dir: Path) -> bool:
    """Whether a run got to its first checkpoint. Unfinished ones have other names than their step."""
    folder = run_dir / FOLDER
    return folder.is_dir() and any(path.name.isdigit() for path in folder.iterdir())


def load_model(run_dir: Path, step: Step = "best") -> tuple[int, Any, Standardisation]:
    """Parameters of a run on one device, without what only training needs.

    Args:
        run_dir: Folder of the run.
        step: "best" has the lowest validation loss (the latest where none was validated); "latest" is the last.

    Returns:
        The step, the parameters as nested dictionaries, and the standardisation of features.

    Raises:
        FileNotFoundError: The run has no checkpoint.
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
