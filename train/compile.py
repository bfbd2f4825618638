"""The command `python -m train.compile`: what a run would take of the chips of a TPU slice that is not there.

It needs the TPU compiler (`pip install "jax[tpu]"`) and no TPU. What JAX and that compiler read from the environment
(`train.compilation.topology`) is set here before either starts, so the command has a process of its own.
"""

import sys
import traceback
from collections.abc import Sequence

from train.compilation.topology import prepare_environment


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: As on the command line: `--config FILE`, `--topology v5e:16x16`, and keys of the configuration.

    Returns:
        The exit code: 0 where everything fits, 1 where it does not, 2 where something is wrong.
    """
    prepare_environment()
    try:
        from train.compilation.command import run  # JAX reads the environment as it is imported

        return run(sys.argv[1:] if arguments is None else arguments)
    except Exception:  # Python would exit with 1 as well, which says that something does not fit
        traceback.print_exc()
        return 2


if __name__ == "__main__":
    sys.exit(main())
