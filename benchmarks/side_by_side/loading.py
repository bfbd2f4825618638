"""The two sides, loaded as their users load them, and the environment that puts both on one device."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, get_args

SideName = Literal["chronos_jax", "reference", "reference_compiled"]
Device = Literal["cpu", "gpu"]
Dtype = Literal["float32", "bfloat16"]
SIDES: tuple[SideName, ...] = get_args(SideName)  # the last one only where it is asked for


NOT_INHERITED = (
    "JAX_COMPILATION_CACHE_DIR",
    "JAX_DEFAULT_MATMUL_PRECISION",
    "MKL_NUM_THREADS",
    "NPROC",
    "OMP_NUM_THREADS",
    "PJRT_NPROC",
    "XLA_FLAGS",
)


class Setting(NamedTuple):
    """What all cases of a call have in common: a checkpoint folder, a device, and the type of weights and products."""

    folder: Path
    device: Device
    dtype: Dtype

    @classmethod
    def of(cls, arguments: Sequence[str]) -> "Setting":
        """From the words of a command line that `*setting` became."""
        folder, device, dtype = arguments
        return cls(Path(folder), cast(Device, device), cast(Dtype, dtype))


def environment(device: Device | Literal["auto"], dtype: Dtype = "float32") -> dict[str, str]:
    """The environment of a process of either side: this one's, with what makes the two comparable."""
    # Each side chooses its own number of threads, precision and flags.
    chosen = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    chosen["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # so that the memory in use is what is needed
    if device == "cpu":
        chosen |= {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    elif device == "gpu":
        chosen["JAX_PLATFORMS"] = "cuda"
        chosen["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]  # one for each side
    if dtype == "float32":
        chosen["JAX_DEFAULT_MATMUL_PRECISION"] = "highest"  # PyTorch's products are exact by default, on a GPU, too
    return chosen


def load(side: SideName, setting: Setting) -> Any:
    """The pipeline of one side."""
    if side == "chronos_jax":
        from chronos_jax import Chronos2Pipeline

        return Chronos2Pipeline.from_pretrained(setting.folder, dtype=setting.dtype)
    import torch
    from chronos import Chronos2Pipeline as Reference

    device = "cuda" if setting.device == "gpu" else "cpu"
    pipeline = Reference.from_pretrained(setting.folder, dtype=getattr(torch, setting.dtype), device_map=device)
    if side == "reference_compiled":
        # predict calls the model, embed its method encode.
        pipeline.model.forward = torch.compile(pipeline.model.forward)
        pipeline.model.encode = torch.compile(pipeline.model.encode)
    return pipeline


def threads(side: SideName) -> int:
    """Threads that the side computes with on a CPU."""
    if side == "chronos_jax":
        return len(os.sched_getaffinity(0))  # what XLA takes
    import torch

    return torch.get_num_threads()
