import jax
import pytest

from train.chips import CHIPS, chip_of


@pytest.mark.parametrize(
    ("device_kind", "name"),
    [
        ("TPU v4", "TPU v4"),
        ("TPU v5 lite", "TPU v5e"),
        ("TPU v5", "TPU v5p"),
        ("TPU v6 lite", "TPU v6e"),
        ("NVIDIA A100-SXM4-80GB", "A100 80 GB"),
        ("NVIDIA H100 80GB HBM3", "H100 SXM"),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", None),
        ("NVIDIA H200", "H200 SXM"),
        ("NVIDIA H200 NVL", "H200 NVL"),
        ("NVIDIA GeForce RTX 4090", None),
        ("TPU v4i", None),
        ("", None),
    ],
)
def test_chips_are_known_by_their_device_kind(device_kind: str, name: str | None) -> None:
    chip = chip_of(device_kind)
    assert (chip.name if chip else None) == name


def test_a_cpu_is_no_known_chip() -> None:
    assert chip_of(jax.devices()[0].device_kind) is None


def test_numbers_are_of_plausible_size() -> None:
    for chip in CHIPS.values():
        assert 1e14 < chip.flops < 1e16
        assert 1e10 < chip.memory < 1e12
        assert 100 < chip.balance < 600  # all of these chips are built for some hundred FLOPs per byte
