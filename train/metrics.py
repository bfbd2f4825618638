"""Where the numbers of a run go: metrics.jsonl, TensorBoard and, if asked for, Weights & Biases."""

import importlib.util
import json
import math
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import jax
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import scalar

from chronos_jax.replacing import replacing
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
        with _plain_refusal(path):
            _drop_beyond(path, resumed_from)
            self._file = path.open("a", buffering=1)  # by line, so that a killed run leaves all but its last line
            (run_dir / "tensorboard").mkdir(exist_ok=True)
            # Not SummaryWriter: its thread dies where a disk is full, and then the run would wait for it for ever.
            self._tensorboard = EventsWriter(str(run_dir / "tensorboard" / "events"))
            begins = SessionLog(status=SessionLog.START)  # TensorBoard forgets what lies beyond
            self._tensorboard.write_event(Event(wall_time=time.time(), step=resumed_from + 1, session_log=begins))
        self._wandb = _start_wandb(run_dir, config) if config.use_wandb else None

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._writes:
            return
        for file in (self._file, self._tensorboard):
            with _plain_refusal(Path(self._file.name)) if error is None else suppress(OSError):
                file.close()
        if self._wandb is not None:
            self._wandb.finish(exit_code=0 if error is None else 1)

    def write(self, step: int, kind: str, values: Mapping[str, Any]) -> None:
        """Writes numbers (and, to the file only, what is not a number) measured after `step` steps.

        Raises:
            OSError: They cannot be written, with why.
        """
        if not self._writes:
            return
        # JSON has no NaN; null is what readers of JSON lines understand.
        plain = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in values.items()
        }
        numbers = {f"{kind}/{name}": value for name, value in values.items() if isinstance(value, int | float)}
        with _plain_refusal(Path(self._file.name)):
            self._file.write(json.dumps({"step": step, "kind": kind, **plain}) + "\n")
            for name, value in numbers.items():
                self._tensorboard.write_event(Event(wall_time=time.time(), step=step, summary=scalar(name, value)))
            self._tensorboard.flush()
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
        with replacing(path) as beside:
            beside.write_text(uuid.uuid4().hex)
    return path.read_text()


@contextmanager
def _plain_refusal(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(
            error.errno,
            f"metrics cannot be written ({error.strerror}). The checkpoints are whole: make room and start the run "
            "again",
            str(path),
        ) from error


def _drop_beyond(path: Path, step: int) -> None:
    if not path.exists():
        return
    kept = [line for line in path.read_text().splitlines() if _is_until(line, step)]
    with replacing(path) as beside:
        beside.write_text("".join(line + "\n" for line in kept))


def _is_until(line: str, step: int) -> bool:
    try:
        return json.loads(line)["step"] <= step
    except json.JSONDecodeError:  # the line that a killed run was writing
        return False
