"""Verdicts as a table that people read, and as JSON."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh
from rich.console import Console
from rich.table import Table

from train.chips import Chip
from train.compilation.measure import Verdict

NOTE = (
    "FLOPs and bytes of main memory are counted in the compiled program, trips of loops included. The compiler's own "
    "numbers take the body of a loop once, however often it runs, and scratch memory for main memory. Times are lower "
    "bounds at the chip's peaks in bfloat16, without that of collectives. Of a collective (number, bytes) the larger "
    "of what goes in and comes out counts."
)

UNREADABLE = "cannot be read"
REMEDY = (
    "This JAX cannot read what this compiler writes, so nothing could be counted in the program: use the compiler that "
    "it asks for, pip install 'jax[tpu]=={version}'."
)


class Report(NamedTuple):
    """What was compiled for what.

    Attributes:
        topology: Name of the slice.
        mesh: Its devices, laid out.
        chip: What they are.
        limit: Bytes that a program may take of each.
        verdicts: On each program.
        assumptions: About data that were not there.
    """

    topology: str
    mesh: Mesh
    chip: Chip
    limit: int
    verdicts: Sequence[Verdict]
    assumptions: Sequence[str]

    @property
    def fits(self) -> bool:
        """Whether every program does."""
        return all(verdict.fits for verdict in self.verdicts)

    def as_json(self) -> str:
        """Bytes, FLOPs and seconds as numbers."""
        content: dict[str, Any] = {
            "topology": self.topology,
            "chips": self.mesh.devices.size,
            "mesh": dict(self.mesh.shape),
            "chip": self.chip._asdict() | {"balance": self.chip.balance},
            "memory_limit": self.limit,
            "fits": self.fits,
            "assumptions": list(self.assumptions),
            "programs": [verdict.as_json() for verdict in self.verdicts],
        }
        return json.dumps(content, indent=1)

    def print_to(self, console: Console) -> None:
        """A table of what each program costs, and in plain words whether it fits."""
        title = f"{self.topology}: {self.mesh.devices.size} × {self.chip.name}, mesh {dict(self.mesh.shape)}"
        console.print(title, style="bold", highlight=False)
        table = Table()
        table.add_column("per chip, one run of the program", no_wrap=True)
        for verdict in self.verdicts:
            table.add_column(verdict.name, justify="right")
        columns = [_column(verdict, self.chip, self.limit) for verdict in self.verdicts]
        for sections in zip(*columns, strict=True):
            # The last program has all rows that another has.
            for name in dict.fromkeys(name for section in reversed(sections) for name in section):
                table.add_row(name, *(section.get(name, "–") for section in sections))
            table.add_section()
        console.print(table)
        if self.assumptions:
            console.print(f"Assumed, for there is no train_data_path: {'; '.join(self.assumptions)}.", highlight=False)
        console.print(NOTE, highlight=False, style="dim")
        if any(verdict.cost is not None and verdict.cost.counts is None for verdict in self.verdicts):
            console.print(REMEDY.format(version=jax.__version__), style="yellow", highlight=False, markup=False)
        for verdict in self.verdicts:
            style = "green" if verdict.fits else "red"
            console.print(f"The {verdict.name} {in_words(verdict)}", style=style, highlight=False)


def in_words(verdict: Verdict) -> str:
    """Whether it fits, and why not."""
    return "fits" if verdict.fits else f"does not fit: {verdict.reason}"


def _column(verdict: Verdict, chip: Chip, limit: int) -> list[dict[str, str]]:
    """The sections of a program's column, by names of rows."""
    first = {"windows": f"{verdict.windows_per_chip:,}", "chips that run it together": f"{verdict.chips:,}"}
    if verdict.loss:
        first["form of the loss"] = verdict.loss
    cost = verdict.cost
    if cost is None:
        return [first, {}, {}, {}, {}, {}]
    memory, counts = cost.memory, cost.counts
    rows = [
        first,
        {name: _bytes(size) for name, size in memory.parts.items()},
        {
            "arguments as laid out": _bytes(memory.arguments),
            "outputs in new places": _bytes(memory.outputs),
            "temporaries": _bytes(memory.temporaries),
            "code": _bytes(memory.code),
            f"total, of {_bytes(limit)}": f"{_bytes(memory.total)} ({memory.total / limit:.1%})",
        },
        {
            "model FLOPs": _flops(cost.model_flops),
            "the compiler's FLOPs": _flops(cost.compiler_flops),
            "the compiler's bytes": _bytes(cost.compiler_bytes),
        },
    ]
    if counts is None:
        return [*rows, {}, {"collectives": UNREADABLE}]
    work = {
        "FLOPs": _flops(counts.flops),
        "bytes of main memory": _bytes(counts.traffic),
        f"FLOPs per byte; {chip.name} balances {chip.balance:.0f}": f"{counts.intensity:,.0f}",
        "time for arithmetic, at least": f"{1000 * counts.seconds_computing:,.2f} ms",
        "time for main memory, at least": f"{1000 * counts.seconds_moving:,.2f} ms",
        "bound by": "arithmetic" if counts.intensity >= chip.balance else "memory",
    }
    kinds = {kind: f"{number:,}, {_bytes(size)}" for kind, (number, size, _) in counts.collectives.items()}
    return [*rows, work, kinds or {"collectives": "none"}]


def _bytes(size: float | int) -> str:
    return f"{size / 2**20:,.1f} MiB" if size < 2**33 else f"{size / 2**30:,.1f} GiB"


def _flops(flops: float | int) -> str:
    return f"{flops / 1e9:,.1f} G" if flops < 1e13 else f"{flops / 1e12:,.1f} T"
