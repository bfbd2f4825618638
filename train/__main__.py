"""The command `python -m train`: train on a configuration, and say where everything is."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import tyro
from rich.console import Console
from rich.table import Table

from train.config import TrainConfig, read_config


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code.

    Args:
        arguments: As on the command line: `--config FILE`, and keys of the configuration as options, which win over
            the file. Without any, a home is simulated and everything happens on an embedded default.
    """
    try:
        config = parse(sys.argv[1:] if arguments is None else arguments)
        # After the arguments are read, so that --help and mistakes answer at once.
        from train.loop import train

        keep_what_is_compiled()
        outcome = train(config)
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    resumed = f", resumed from step {outcome.resumed_from}" if outcome.resumed_from else ""
    table = Table(title=f"{outcome.steps} steps{resumed}", show_header=False)
    for what, name in {
        "configuration, versions": "config.json",
        "metrics by step": "metrics.jsonl",
        "TensorBoard events": "tensorboard/",
        "checkpoints": "checkpoints/",
    }.items():
        table.add_row(what, str(outcome.run_dir / name))
    Console().print(table)
    return 0


def parse(arguments: Sequence[str]) -> TrainConfig:
    """The configuration of these arguments; unknown options end the program with the nearest known one.

    Raises:
        FileNotFoundError, ValueError: As `read_config`.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--config", type=Path)
    known, others = first.parse_known_args(arguments)
    return tyro.cli(
        TrainConfig,
        default=read_config(known.config) if known.config else TrainConfig.model_validate({}),
        args=others,
        prog="python -m train",
        description="Trains the alignment of a frozen Chronos-2 encoder with language. Options are the keys of the "
        "configuration, whose JSON file is given by --config FILE, and win over it. Without any, a home is simulated.",
    )


def keep_what_is_compiled() -> None:
    """Keeps compiled functions in the user's cache folder, for the next run; JAX_COMPILATION_CACHE_DIR overrides it."""
    import jax

    if jax.config.jax_compilation_cache_dir is None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(cache / "chronos_jax" / "compiled"))


if __name__ == "__main__":
    sys.exit(main())
