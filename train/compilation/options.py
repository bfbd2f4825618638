"""The options of `python -m train.compile`."""

from collections.abc import Sequence
from typing import Annotated

import tyro
from pydantic import Field

from train.command_line import RunOptions, parse_run_options

DESCRIPTION = (
    "Compiles feature extraction and the training step for a TPU slice that is not there, and says what they would "
    "take of each chip and whether they fit. Exit code 0: all fits; 1: it does not; 2: something is wrong. The further "
    "options are the keys of the configuration, whose JSON file is given by --config FILE, and win over it."
)


class CompileOptions(RunOptions):
    """The configuration of a run, and what to compile it for."""

    topology: str | None = Field(None, description="The slice: v5e:16x16, v6e:4x4, v5p:4x4x4, v4:2x2x2 …")
    per_chip_batch: int | None = Field(
        None, ge=1, description="Windows per chip and step. Default: as batch_size says."
    )
    find_batch: bool = Field(False, description="Look for the largest per_chip_batch that fits.")
    memory_limit: float | None = Field(
        None, gt=0, description="GiB that each program may take of a chip. Default: all that it has."
    )
    json_output: Annotated[bool, tyro.conf.arg(name="json")] = Field(
        False, description="Print JSON instead of a table."
    )


def parse(arguments: Sequence[str]) -> CompileOptions:
    """The options of these arguments; faults as `parse_run_options`."""
    return parse_run_options(CompileOptions, arguments, prog="python -m train.compile", description=DESCRIPTION)
