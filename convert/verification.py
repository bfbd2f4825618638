"""The command `verify`: a checkpoint through this implementation and through the PyTorch reference, compared."""

import sys
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from chronos_jax.checkpoints.loading import stored
from chronos_jax.checkpoints.sources import load_config
from chronos_jax.families import family_of
from convert import chronos2_verification, text_verification
from convert.location import Location
from convert.reference import require

BOUND = 1e-5
"""The largest relative difference allowed in float32."""


def verify(options: Annotated[Location, tyro.conf.arg(name="")]) -> int:
    """Compare a checkpoint with the PyTorch reference, where that is installed; exit code 1 beyond 1e-5."""
    require("torch", "transformers")  # which every reference needs, before anything is downloaded
    source = options.resolve()
    family = family_of(load_config(source), stored(source))
    compare = chronos2_verification.differences if family.text is None else text_verification.differences
    differences = compare(source, family)
    _print_table(differences)
    beyond = [name for name, row in differences.items() if not all(value <= BOUND for value in row.values())]
    if beyond:
        print(f"error: beyond {BOUND:.0e} of the reference for {', '.join(beyond)}", file=sys.stderr)
    return int(bool(beyond))


def _print_table(differences: dict[str, dict[str, float]]) -> None:
    quantities = list(next(iter(differences.values())))
    table = Table("max|Δ|, relative", *quantities, show_footer=True)
    for column, quantity in zip(table.columns, ["", *quantities], strict=True):
        worst = max(row[quantity] for row in differences.values()) if quantity else BOUND
        column.footer = f"{worst:.1e}" if quantity else f"largest (bound {BOUND:.0e})"
    for name, row in differences.items():
        table.add_row(name, *(f"{row[quantity]:.1e}" for quantity in quantities))
    Console().print(table)
