"""Chronos-2 on tables: forecasts and embeddings of the series in csv and parquet files."""

import logging
import os
import sys
import warnings
from collections.abc import Sequence

import tyro

from chronos_jax.commands.embed import embed
from chronos_jax.commands.forecast import forecast


def main(args: Sequence[str] | None = None) -> int:
    """Runs a command and returns the exit code: 0, 1 after an error, 130 on Ctrl-C."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = lambda message, *_: _say("warning", message)
        try:
            tyro.extras.subcommand_cli_from_dict(
                {"forecast": forecast, "embed": embed},
                prog="python -m chronos_jax",
                description=__doc__,
                args=args,
                config=(tyro.conf.FlagCreatePairsOff,),
            )
        except BrokenPipeError:  # whoever reads the answer, such as `head`, has read enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except (OSError, ValueError, TypeError, RuntimeError, ImportError) as error:
            _say("error", error)
            return 1
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
    return 0


def _say(what: str, message: object) -> None:
    """One line on stderr, whatever the message."""
    print(f"{what}: {' '.join(str(message).split())}", file=sys.stderr)


if __name__ == "__main__":
    # Orbax and asyncio log with a traceback what they raise as well, and an error is to be one line.
    logging.disable(logging.ERROR)
    sys.exit(main())
