"""What chips can do, as their makers' data sheets say."""

from typing import NamedTuple

GIB, GB = 2**30, 10**9


class Chip(NamedTuple):
    """The limits of one chip, which is one device of JAX.

    Attributes:
        name: What people call it.
        flops: Peak of dense bfloat16 products, per second.
        memory: Bytes of its main memory (HBM).
        bandwidth: Bytes per second from and to that memory.
    """

    name: str
    flops: float
    memory: int
    bandwidth: float

    @property
    def balance(self) -> float:
        """FLOPs per byte from which on a program is bound by arithmetic, and below which by memory."""
        return self.flops / self.bandwidth


_V4 = Chip("TPU v4", 275e12, 32 * GIB, 1228e9)
_V5E = Chip("TPU v5e", 197e12, 16 * GIB, 819e9)
_V5P = Chip("TPU v5p", 459e12, 95 * GIB, 2765e9)
_V6E = Chip("TPU v6e", 918e12, 32 * GIB, 1640e9)

# JAX's device_kind → chip. Sources: cloud.google.com/tpu/docs (system architecture of each version); NVIDIA's data
# sheets of A100, H100 and H200, without sparsity.
CHIPS = {
    "TPU v4": _V4,
    "TPU v5 lite": _V5E,
    "TPU v5e": _V5E,
    "TPU v5": _V5P,
    "TPU v5p": _V5P,
    "TPU v6 lite": _V6E,
    "TPU v6e": _V6E,
    "NVIDIA A100-SXM4-40GB": Chip("A100 40 GB", 312e12, 40 * GB, 1555e9),
    "NVIDIA A100-PCIE-40GB": Chip("A100 40 GB", 312e12, 40 * GB, 1555e9),
    "NVIDIA A100-SXM4-80GB": Chip("A100 80 GB", 312e12, 80 * GB, 2039e9),
    "NVIDIA A100 80GB PCIe": Chip("A100 80 GB PCIe", 312e12, 80 * GB, 1935e9),
    "NVIDIA H100 80GB HBM3": Chip("H100 SXM", 989e12, 80 * GB, 3350e9),
    "NVIDIA H100 PCIe": Chip("H100 PCIe", 756e12, 80 * GB, 2000e9),
    "NVIDIA H100 NVL": Chip("H100 NVL", 835e12, 94 * GB, 3938e9),
    "NVIDIA H200": Chip("H200 SXM", 989e12, 141 * GB, 4800e9),
    "NVIDIA H200 NVL": Chip("H200 NVL", 835e12, 141 * GB, 4800e9),
}


def chip_of(device_kind: str) -> Chip | None:
    """The chip of a JAX device (`device.device_kind`); None for those that are not in the table, such as a CPU."""
    return CHIPS.get(device_kind)
