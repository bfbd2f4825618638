"""The command `python -m train`: train on a configuration, measure, and say where everything is."""

import logging
import signal
import sys
import threading
from collections.abc import Sequence

from pydantic import Field

from chronos_jax.compilation_cache import keep_what_is_compiled
from train.command_line import RunOptions, parse_run_options, tell_what_is_there


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code.

    Args:
        arguments: As on the command line: `--config FILE`, and keys of the configuration as options, which win over
            the file. Without any, a home is simulated and everything happens on an embedded default.
    """
    try:
        options = parse(sys.argv[1:] if arguments is None else arguments)
        # After the arguments are read, so that --help and mistakes answer at once.
        from train.processes import Stopped, connect, leave, say

        connect(options.coordinator_address, options.num_processes, options.process_id)
        keep_what_is_compiled()
        try:
            _run(options)
        except Stopped as stopped:
            say(str(stopped))
        except (OSError, ValueError, RuntimeError, ImportError) as error:
            print(f"error: {error}", file=sys.stderr)
            leave(1)
            return 1
    except KeyboardInterrupt:
        print("interrupted: started again, it goes on from the last checkpoint", file=sys.stderr)
        return 130
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _run(options: "CommandLine") -> None:
    import jax

    from train.evaluate import evaluate
    from train.loop import train

    config = options.config()
    outcome = train(config, force=options.force)
    alone = jax.process_count() == 1
    if alone and config.evaluate:
        evaluate(outcome.run_dir)
    if jax.process_index() == 0:
        resumed = f", resumed from step {outcome.resumed_from}" if outcome.resumed_from else ""
        print(f"{outcome.steps} steps{resumed}")
        tell_what_is_there(outcome.run_dir)
        if not alone:
            print(f"measure it with python -m train.evaluate --run {outcome.run_dir}, on one machine")


def become_a_command() -> None:
    """What holds for a process that is this command, and not for a program that calls `main`."""
    # Where there is nothing to save, before training and behind it, a request to end is met at once.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # Orbax shows the stack of every thread that could not write; what went wrong is said in one line at the end.
    for name in ("absl", "asyncio"):
        logging.getLogger(name).addFilter(_without_stack)
    threading.excepthook = lambda failed: print(f"in a thread: {failed.exc_value}", file=sys.stderr)


def _without_stack(record: logging.LogRecord) -> bool:
    record.exc_info = record.exc_text = record.stack_info = None
    return True


def parse(arguments: Sequence[str]) -> "CommandLine":
    """The options of these arguments; faults as `parse_run_options`."""
    return parse_run_options(
        CommandLine,
        arguments,
        prog="python -m train",
        description="Trains the alignment of a frozen Chronos-2 encoder with language. Options are the keys of the "
        "configuration, whose JSON file is given by --config FILE, and win over it. Without any, a home is simulated.",
    )


class CommandLine(RunOptions):
    """The keys of the configuration, and what only concerns this start of the run."""

    force: bool = Field(False, description="Go on with a run that began with another configuration or other data.")
    coordinator_address: str | None = Field(
        None,
        description="HOST:PORT at which process 0 of several listens; TPU pods and SLURM know it by themselves.",
    )
    num_processes: int | None = Field(None, description="How many processes train together, where that is not known.")
    process_id: int | None = Field(None, description="Which of them this is, from 0.")


if __name__ == "__main__":
    become_a_command()
    sys.exit(main())
