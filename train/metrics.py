"""Where the numbers of a run go: metrics.jsonl, TensorBoard and, if asked for, Weights & Biases."""

import importlib.util
import json
import math
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import jax
from tensorboardX import SummaryWriter

from train.config import TrainConfig

FILE = "metrics.jsonl"
WANDB_ID_FILE = "wandb_id.txt"


class MetricsLog:
    """Writes numbers by step; only the first process writes.

    A line of metrics.jsonl is one JSON object with "step" (steps done when it was measured), "kind" and the numbers.
    A run that resumes from step n drops what was written beyond n, so that no step stands there twice.
    """

    def __init__(self, run_dir: Path, config: TrainConfig, resumed_from: int) -> None:
        self._writes = jax.process_index() == 0
        if not self._writes:
            return
        path = run_dir / FILE
        _drop_beyond(path, resumed_from)
        self._file = path.open("a", buffering=1)  # by line, so that a killed run leaves all but its last line
        self._tensorboard = SummaryWriter(str(run_dir / "tensorboard"), purge_step=resumed_from + 1)
        self._wandb = _start_wandb(run_dir, config) if config.use_wandb else None

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._writes:
            return
        self._file.close()
        self._tensorboard.close()
        if self._wandb is not None:
            self._wandb.finish(exit_code=0 if error is None else 1)

    def write(self, step: int, kind: str, values: Mapping[str, Any]) -> None:
        """Writes numbers (and, to the file only, what is not a number) measured after `step` steps."""
        if not self._writes:
            return
        # JSON has no NaN; null is what readers of JSON lines understand.
        plain = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in values.items()
        }
        self._file.write(json.dumps({"step": step, "kind": kind, **plain}) + "\n")
        numbers = {f"{kind}/{name}": value for name, value in values.items() if isinstance(value, int | float)}
        for name, value in numbers.items():
            self._tensorboard.add_scalar(name, value, step)
        if self._wandb is not None:
            self._wandb.log(numbers, step=step)


def check_wandb(config: TrainConfig) -> None:
    """Fails early, with what to install, where Weights & Biases is asked for and absent."""
    if config.use_wandb and importlib.util.find_spec("wandb") is None:
        raise ModuleNotFoundError("use_wandb needs the extra: pip install 'chronos-jax[wandb]', or set it to false")


def _start_wandb(run_dir: Path, config: TrainConfig) -> Any:
    import wandb

    return wandb.init(
        project=config.wandb_project,
        entity=config.wandb_entity,
        name=config.wandb_run_name or run_dir.name,
        tags=config.wandb_tags,
        mode=config.wandb_mode,
        dir=run_dir,
        id=wandb_id(run_dir),
        resume="allow",
        config=config.model_dump(mode="json"),
    )


def wandb_id(run_dir: Path) -> str:
    """The name under which Weights & Biases knows this run, drawn at its start; folders of equal name share none."""
    path = run_dir / WANDB_ID_FILE
    if not path.exists():
        beside = path.with_suffix(".writing")
        beside.write_text(uuid.uuid4().hex)
        beside.rename(path)
    return path.read_text()


def _drop_beyond(path: Path, step: int) -> None:
    if not path.exists():
        return
    kept = [line for line in path.read_text().splitlines() if _is_until(line, step)]
    beside = path.with_suffix(".writing")
    beside.write_text("".join(line + "\n" for line in kept))
    beside.rename(path)


def _is_until(line: str, step: int) -> bool:
    try:
        return json.loads(line)["step"] <= step
    except json.JSONDecodeError:  # the line that a killed run was writing
        return False
