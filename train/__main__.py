"""The command `python -m train`: train on a configuration, measure, and say where everything is."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import tyro

from chronos_jax.compilation_cache import keep_what_is_compiled
from train.command_line import OneLineFaults
from train.config import TrainConfig, read_config

WRITTEN = {
    "configuration, versions": "config.json",
    "metrics by step": "metrics.jsonl",
    "TensorBoard events": "tensorboard",
    "checkpoints": "checkpoints",
    "evaluation": "evaluation.json",
    "confusion of labels, embeddings": "*.png",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code.

    Args:
        arguments: As on the command line: `--config FILE`, and keys of the configuration as options, which win over
            the file. Without any, a home is simulated and everything happens on an embedded default.
    """
    try:
        config = parse(sys.argv[1:] if arguments is None else arguments)
        # After the arguments are read, so that --help and mistakes answer at once.
        from train.evaluate import evaluate
        from train.loop import train

        keep_what_is_compiled()
        outcome = train(config)
        if config.evaluate:
            evaluate(outcome.run_dir)
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    resumed = f", resumed from step {outcome.resumed_from}" if outcome.resumed_from else ""
    print(f"{outcome.steps} steps{resumed}")
    for what, name in WRITTEN.items():
        if any(outcome.run_dir.glob(name)):
            print(f"{what:31} {outcome.run_dir / name}")
    return 0


def parse(arguments: Sequence[str]) -> TrainConfig:
    """The configuration of these arguments; wrong options end the program, unknown ones with the nearest known one.

    Raises:
        FileNotFoundError, ValueError: As `read_config`.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--config", type=Path)
    known, others = first.parse_known_args(arguments)
    default = read_config(known.config) if known.config else TrainConfig.model_validate({})
    options = tyro.cli(
        _CommandLine,
        default=_CommandLine.model_validate(default.model_dump()),
        args=others,
        prog="python -m train",
        use_underscores=True,
        description="Trains the alignment of a frozen Chronos-2 encoder with language. Options are the keys of the "
        "configuration, whose JSON file is given by --config FILE, and win over it. Without any, a home is simulated.",
    )
    return TrainConfig.model_validate(options.model_dump())


class _CommandLine(OneLineFaults, TrainConfig):
    """The options as the command line gives them."""


if __name__ == "__main__":
    sys.exit(main())
