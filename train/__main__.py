"""The command `python -m train`: train on a configuration, evaluate, and say where everything is."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import tyro
from rich.console import Console

from train.config import TrainConfig, read_config


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code.

    Args:
        arguments: As on the command line: `--config FILE`, and keys of the configuration as options, which win over
            the file. Without any, a home is simulated and everything happens on an embedded default.
    """
    console = Console(stderr=True)
    try:
        config = parse(sys.argv[1:] if arguments is None else arguments)
        # After the arguments are read, so that --help and mistakes answer at once.
        from train.loop import train

        train(config)
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        console.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        return 1
    return 0


def parse(arguments: Sequence[str]) -> TrainConfig:
    """The configuration of these arguments; unknown options end the program with the nearest known one.

    Raises:
        FileNotFoundError, ValueError: As `read_config`.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--config", type=Path)
    known, others = first.parse_known_args(arguments)
    default = read_config(known.config) if known.config else TrainConfig()
    return tyro.cli(
        TrainConfig,
        default=default,
        args=others,
        prog="python -m train",
        description="Trains the alignment of a frozen Chronos-2 encoder with language. Options are the keys of the "
        "configuration, whose JSON file is given by --config FILE, and win over it. Without any, a home is simulated.",
    )


if __name__ == "__main__":
    sys.exit(main())
