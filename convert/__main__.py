"""Published safetensors to Orbax and back, inspected and verified: Chronos-2, and text encoders."""

import contextlib
import ctypes
import logging
import os
import sys
from collections.abc import Sequence

import tyro

from chronos_jax.checkpoints.errors import CheckpointError, UnsupportedConfigError
from convert.conversion import to_orbax, to_safetensors
from convert.inspection import inspect
from convert.verification import verify

M_MMAP_THRESHOLD = -3  # <malloc.h>


def main(args: Sequence[str] | None = None) -> int:
    """Runs a command and returns the exit code: 0, 1 after an error or a failed comparison, 130 on Ctrl-C."""
    commands = {"inspect": inspect, "to-orbax": to_orbax, "to-safetensors": to_safetensors, "verify": verify}
    try:
        code = tyro.extras.subcommand_cli_from_dict(
            commands,
            prog="python -m convert",
            description=__doc__,
            args=args,
            use_underscores=True,
            config=(tyro.conf.FlagCreatePairsOff,),
        )
    except (CheckpointError, UnsupportedConfigError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return 130
    return code or 0


def _give_back_what_is_freed() -> None:
    """Tells glibc to give blocks from 1 MiB on back as they are freed.

    By itself it keeps blocks of up to 32 MiB for later, each thread its own: a quarter of what a conversion occupied.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").mallopt(M_MMAP_THRESHOLD, 1 << 20)


if __name__ == "__main__":
    _give_back_what_is_freed()
    # Orbax and asyncio log with a traceback what they raise as well, and an error is to be one line.
    logging.disable(logging.ERROR)
    # Copying files needs no accelerator: it would be taken from whoever uses it.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    sys.exit(main())
