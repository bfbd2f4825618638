"""What the commands share: how options are read, and how what is wrong is said."""

import argparse
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import tyro
from pydantic import BaseModel, ModelWrapValidatorHandler, ValidationError, model_validator

from train.config import TrainConfig, describe, read_config
from train.processes import Stopped

_WRITTEN = {
    "configuration, versions": "config.json",
    "metrics by step": "metrics.jsonl",
    "TensorBoard events": "tensorboard",
    "checkpoints": "checkpoints",
    "evaluation, to read": "evaluation.json",
    "evaluation, to look at": "report.html",
    "confusion of labels, embeddings": "*.png",
}


def tell_what_is_there(run_dir: Path) -> None:
    """Prints what a run has written, and where."""
    for what, name in _WRITTEN.items():
        if any(run_dir.glob(name)):
            print(f"{what:31} {run_dir / name}")


@contextmanager
def plain_words() -> Iterator[None]:
    """Warnings become a line each, and what a user can mend ends the command with a line and exit code 1."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
        try:
            yield
        except (OSError, ValueError, RuntimeError, Stopped) as error:
            sys.exit(f"error: {error}")


class OneLineFaults(BaseModel):
    """Options whose faults end the command: Tyro would show Pydantic's error as it is, with type and address."""

    @model_validator(mode="wrap")
    @classmethod
    def _faults_in_one_line(
        cls, values: dict[str, object], validate: ModelWrapValidatorHandler["OneLineFaults"]
    ) -> "OneLineFaults":
        try:
            return validate(values)
        except ValidationError as error:
            sys.exit(f"error: {'; '.join(describe(error))}")


class RunOptions(OneLineFaults, TrainConfig):
    """The keys of the configuration as options; a command adds its own."""

    def config(self) -> TrainConfig:
        """The keys of the configuration alone."""
        return TrainConfig.model_validate(self.model_dump(include=set(TrainConfig.model_fields)))


Options = TypeVar("Options", bound=RunOptions)


def parse_run_options(kind: type[Options], arguments: Sequence[str], *, prog: str, description: str) -> Options:
    """Options from `--config FILE`, a JSON file of the configuration, and from those that win over it.

    Wrong options end the program, unknown ones with the nearest known one.

    Args:
        kind: The options of the command.
        arguments: As on the command line.
        prog: The command, for its help.
        description: What it does, for its help.

    Raises:
        FileNotFoundError, ValueError: As `read_config`.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--config", type=Path)
    known, others = first.parse_known_args(arguments)
    default = read_config(known.config) if known.config else TrainConfig.model_validate({})
    return tyro.cli(
        kind,
        default=kind.model_validate(default.model_dump()),
        args=others,
        prog=prog,
        use_underscores=True,
        description=description,
    )
