"""TPU slices that are not there: their devices, to compile for."""

import importlib.util
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jax

# What JAX and the TPU compiler read as they start, so nothing imports JAX before: what must be so, and what may be set
# otherwise. The machine has no TPU to ask for its place in a slice.
REQUIRED = {"JAX_PLATFORMS": "cpu"}
ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # a lock keeps a second process off the chips, which compiling does not need
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
    "TPU_ACCELERATOR_TYPE": "v5litepod-8",  # of this machine, which has none: without it the compiler warns
    "TPU_MIN_LOG_LEVEL": "3",
    "TPU_STDERR_LOG_LEVEL": "3",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}

# Axes of a slice by version.
AXES = {"v4": 3, "v5e": 2, "v5p": 3, "v6e": 2}

# The two cores of a v4 chip work as one device, as JAX has it on such a machine; those of v5p do by themselves.
CHIP_CONFIGS = {"v4": {"chip_config_name": "megacore"}}

FORMS = "v4:2x2x1, v4:4x4x4, v5e:2x4, v5e:16x16, v5p:2x2x2, v5p:4x4x4, v6e:2x4, v6e:16x16"


def prepare_environment() -> None:
    """Sets what JAX and the TPU compiler read as they start; called before JAX is imported or asks for a device."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ.update(REQUIRED)


def topology_devices(name: str) -> "Sequence[jax.Device]":
    """The devices of a slice, to lay a mesh over and compile for; nothing can run on them.

    `prepare_environment` comes first.

    Args:
        name: Version and chips along each axis, such as "v5e:16x16" or "v5p:4x4x4".

    Raises:
        ModuleNotFoundError: The TPU compiler is not installed.
        ValueError: There is no such slice.
    """
    version, _, sizes = name.partition(":")
    # Checked here, because the compiler ends the process at some names that it does not know.
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", sizes) or sizes.count("x") + 1 != AXES.get(version):
        raise ValueError(f"no TPU topology {name!r}: names have forms such as {FORMS}")
    import jax

    given = os.environ.get("TPU_LIBRARY_PATH")
    if not (Path(given).is_file() if given else importlib.util.find_spec("libtpu")):
        raise ModuleNotFoundError(
            "compiling for TPUs needs their compiler, which needs no TPU: pip install "
            f"'jax[tpu]=={jax.__version__}', or set TPU_LIBRARY_PATH to a libtpu.so"
            + (f" (it is set to {given}, which does not exist)" if given else "")
        )
    from jax.experimental import topologies

    try:
        return topologies.get_topology_desc(topology_name=name, platform="tpu", **CHIP_CONFIGS.get(version, {})).devices
    except jax.errors.JaxRuntimeError as error:
        if "INVALID_ARGUMENT" not in str(error):
            raise
        raise ValueError(f"no TPU topology {name!r} ({error}): names have forms such as {FORMS}") from error
