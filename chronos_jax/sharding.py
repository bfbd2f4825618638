"""The mesh of devices, and the one table that says along which of its axes a named axis of an array is split."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

MESH_AXES = ("data", "fsdp", "tensor")

LOGICAL_AXES: Mapping[str, str | tuple[str, ...] | None] = {
    "batch": ("data", "fsdp"),  # every device of these two axes sees other examples
    "embed": "fsdp",
    "heads": "tensor",
    "mlp": "tensor",
    "layers": None,  # scanned, so never split
}


def make_mesh(shape: Mapping[str, int] | None = None, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Lays devices out as a mesh with the axes ("data", "fsdp", "tensor").

    Args:
        shape: Size of each axis; axes left out have size 1, and at most one size is -1, meaning all that remain.
            Default: every device on "data".
        devices: Devices to use, by default all of this JAX runtime (of every process).

    Raises:
        ValueError: An axis is unknown, or the sizes do not multiply to the number of devices.
    """
    devices = jax.devices() if devices is None else devices
    shape = {"data": -1} if shape is None else shape
    if unknown := sorted(set(shape) - set(MESH_AXES)):
        raise ValueError(f"unknown mesh axes {unknown}: the axes are {list(MESH_AXES)}")
    sizes = [shape.get(axis, 1) for axis in MESH_AXES]
    wanted = dict(zip(MESH_AXES, sizes, strict=True))
    if any(size < 1 and size != -1 for size in sizes) or sizes.count(-1) > 1:
        raise ValueError(f"mesh {wanted}: sizes must be positive, one of them may be -1 (all remaining devices)")
    if -1 in sizes and len(devices) % (fixed := -int(np.prod(sizes))) == 0:
        sizes[sizes.index(-1)] = len(devices) // fixed
    if np.prod(sizes) != len(devices):
        raise ValueError(f"mesh {wanted} does not fit {len(devices)} devices: the sizes must multiply to that number")
    # Auto axes: the compiler propagates shardings from the jitted function's inputs and inserts the collectives.
    return jax.make_mesh(tuple(sizes), MESH_AXES, axis_types=(AxisType.Auto,) * len(MESH_AXES), devices=devices)


def device_mesh(device: Any) -> Mesh | None:
    """One device as a mesh: "cpu", "gpu" or "cuda", "tpu", with a number for others than the first, as in "cuda:1".

    None and "auto" are None: JAX's default device. What reads as a name, such as a torch.device, counts as one.

    Raises:
        ValueError: There is no such device, listing those there are.
    """
    name = str(device)
    if name in ("auto", "None"):
        return None
    platform, _, number = name.partition(":")
    try:
        devices = jax.local_devices(backend="gpu" if platform == "cuda" else platform)
        return make_mesh(devices=[devices[int(number or 0)]])
    except (RuntimeError, ValueError, IndexError) as error:
        raise ValueError(
            f'no device {name!r}: give "auto", "cpu", "cuda", "cuda:1", "tpu" …; JAX sees {jax.local_devices()}'
        ) from error


def partition_spec(logical_axes: Sequence[str | None]) -> PartitionSpec:
    """The PartitionSpec of an array whose axes are named `logical_axes` (None: not split).

    Raises:
        ValueError: A name is not in `LOGICAL_AXES`, or two axes of the array would be split along the same mesh axis.
    """
    entries: list[str | tuple[str, ...] | None] = []
    owners: dict[str, str] = {}
    for name in logical_axes:
        if name is not None and name not in LOGICAL_AXES:
            raise ValueError(f"unknown logical axis {name!r}: known are {list(LOGICAL_AXES)}")
        entry = None if name is None else LOGICAL_AXES[name]
        for mesh_axis in (entry,) if isinstance(entry, str) else entry or ():
            if mesh_axis in owners:
                raise ValueError(
                    f"logical axes {owners[mesh_axis]!r} and {name!r} of one array are both "
                    f"split along mesh axis {mesh_axis!r}: name one of them None"
                )
            owners[mesh_axis] = str(name)
        entries.append(entry)
    return PartitionSpec(*entries)


def named_sharding(mesh: Mesh, logical_axes: Sequence[str | None] = ()) -> NamedSharding:
    """How an array with these logical axes lies on the mesh; without axes: a copy on every device."""
    return NamedSharding(mesh, partition_spec(logical_axes))


def batch_shards(mesh: Mesh) -> int:
    """Into how many parts a batch is split; batch sizes must be a multiple of it."""
    return mesh.shape["data"] * mesh.shape["fsdp"]
