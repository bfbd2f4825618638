"""What a result depends on besides the code: device, processor, versions. In a process of its own, which ends.

python -m benchmarks.side_by_side.machine
"""

import json
import os
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from benchmarks.side_by_side.loading import Device, environment
from benchmarks.side_by_side.sides import ROOT, SideError, module

PACKAGES = ("jax", "jaxlib", "flax", "numpy", "torch", "transformers", "chronos-forecasting")
COPIED_BYTES = 2**28


def facts(device: Device | Literal["auto"]) -> dict[str, Any]:
    """The device that the sides will use, and what is to be known of it.

    Args:
        device: The one asked for; "auto" for JAX's default.

    Returns:
        "device": "cpu" or "gpu"; "machine": processor, processors available, memory, name of the device, the rate at
        which its memory is read and written in GB/s; "versions": of Python and packages, and this project's commit.

    Raises:
        SideError: There is no such device.
    """
    done = subprocess.run(module("machine"), capture_output=True, text=True, cwd=ROOT, env=environment(device))
    if done.returncode:
        raise SideError(f"no device {device!r} for both sides:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found | {"commit": commit()}


def commit() -> str:
    """Of the checkout, with a mark where code differs from it; empty where there is no git."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], capture_output=True, text=True, cwd=ROOT).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "*.py", "*.toml")
        return git("rev-parse", "--short=12", "HEAD") + ("-dirty" if changed else "")
    except FileNotFoundError:
        return ""


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


def copy_rate() -> float:
    """Bytes a second, read and written together, at which JAX copies between arrays that exist; best of several.

    The result takes the place of an array that is given away: into a new one the kernel would be measured, which maps
    and clears its pages.
    """
    import jax
    import jax.numpy as jnp

    negative = jax.jit(lambda x, _: -x, donate_argnums=1, keep_unused=True)
    source = jnp.ones(COPIED_BYTES // 4, jnp.float32)
    result = negative(source, jnp.ones_like(source)).block_until_ready()
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        result = negative(source, result).block_until_ready()
        seconds.append(time.perf_counter() - start)
    return 2 * COPIED_BYTES / min(seconds)


def main() -> None:
    """Prints the facts as JSON."""
    import jax

    backend = jax.default_backend()
    if find_spec("chronos") is None:
        raise SystemExit("the reference is missing: pip install chronos-forecasting, or this project's extra `test`")
    if backend not in ("cpu", "gpu"):
        raise SystemExit(f"the reference does not run on a {backend}: give --device cpu")
    if backend == "gpu":
        import torch

        if not torch.cuda.is_available():
            raise SystemExit(
                f"PyTorch {torch.__version__} sees no GPU: install its build for CUDA, or give --device cpu"
            )

    machine = {
        "processor": _processor(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "device": jax.devices()[0].device_kind,
        "memory_gb_per_second": round(copy_rate() / 1e9, 1),
    }
    print(json.dumps({"device": backend, "machine": machine, "versions": _versions()}))


if __name__ == "__main__":
    main()
