import re
from pathlib import Path

import pytest

from chronos_jax.sharding import make_mesh
from train.losses import choose_implementation
from train.losses.choice import SHARE, estimate_temporaries

PAGE = Path(__file__).parents[3] / "docs" / "losses.md"
MIB, GIB = 2**20, 2**30


def measured() -> list[tuple[str, str, str, int, float]]:
    """Loss, form, precision, batch and MiB of what the page says of eight chips, where it fits."""
    lines = re.findall(r"^\| (\w+) \| (\w+) \| (\w+) \| ([\d,.]+) \| (\S+)", PAGE.read_text(), re.MULTILINE)
    return [
        (kind, form, precision, batch, float(mebibytes.replace(",", "")))
        for kind, form, precision, *cells in lines
        for batch, mebibytes in zip((32_768, 131_072), cells, strict=True)
        if mebibytes[0].isdigit()
    ]


def test_larger_batches_get_a_form_that_holds_less() -> None:
    mesh = make_mesh({"data": 4, "fsdp": 2})
    sizes = (256, 32_768, 65_536, 131_072, 1_048_576)
    chosen = [choose_implementation("infonce", size, 512, mesh, 16 * GIB) for size in sizes]
    assert chosen == ["plain", "plain", "ring", "tiles", "tiles"]


def test_devices_that_hold_the_same_windows_do_not_help() -> None:
    split, copied = make_mesh({"data": 2, "fsdp": 4}), make_mesh({"data": 2, "tensor": 4})
    chosen = [choose_implementation("sigmoid", 40_000, 512, mesh, 16 * GIB) for mesh in (split, copied)]
    assert chosen == ["plain", "tiles"]
    assert estimate_temporaries("sigmoid", "ring", 40_000, 512, copied) > 10 * estimate_temporaries(
        "sigmoid", "ring", 40_000, 512, split
    )


def test_what_is_chosen_fits_its_share_of_the_memory_or_is_the_least() -> None:
    mesh = make_mesh({"data": 8})
    for memory in (GIB, 16 * GIB, 95 * GIB):
        for size in (512, 8_192, 100_000, 1_000_000):
            chosen = choose_implementation("infonce", size, 512, mesh, memory)
            estimate = estimate_temporaries("infonce", chosen, size, 512, mesh)
            assert chosen == "tiles" or estimate <= SHARE * memory


@pytest.mark.parametrize(("kind", "form", "precision", "batch", "mebibytes"), measured())
def test_the_compiler_needs_no_more_than_the_estimate(kind, form, precision, batch: int, mebibytes: float) -> None:
    """And not much less, where it is a matter of gigabytes; the highest precision splits texts in parts besides."""
    estimate = estimate_temporaries(kind, form, batch, 512, make_mesh({"data": 8})) / MIB
    assert mebibytes <= estimate * (1.25 if precision == "highest" else 1.0)
    if mebibytes > 100:
        assert estimate < 2 * mebibytes


def test_the_page_has_the_table() -> None:
    assert len(measured()) == 21  # of 24, three of which do not fit
