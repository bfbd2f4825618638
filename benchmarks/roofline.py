"""Cases against the roofline: what arithmetic and memory allow a machine to do, and what was reached.

    python -m benchmarks.roofline [--write]

Measures and compiles nothing; it serves docs/performance.md alone, whose figures are in benchmarks/results. Operations
and bytes are those that `benchmarks.counts` recorded; seconds, the rate of a plain product and that of memory those of
`benchmarks.side_by_side`; bytes of main memory on a TPU those of `benchmarks.tpu_traffic`. `--write` puts the tables
onto the page and draws docs/roofline.svg. The model is that of Williams, Waterman and Patterson, Communications of the
ACM 52 (4), 2009.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.pages import check_place, write_between
from chronos_jax.replacing import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
PLACE = "roofline", "benchmarks.roofline --write"
PICTURE = ROOT / "docs" / "roofline.svg"
RESULTS = ROOT / "benchmarks" / "results"
SIZE = "chronos-2"

# The maker's peaks of a chip: operations a second in bfloat16, and bytes a second of HBM.
CHIPS = {"v5e": (197e12, 819e9)}


class Machine(NamedTuple):
    """Operations a second of products, and bytes a second of memory."""

    product: float
    memory: float

    @property
    def ridge(self) -> float:
        """Operations a byte from which on memory is not the limit."""
        return self.product / self.memory

    def roof(self, intensity: float) -> float:
        """Operations a second that a program with so many operations a byte can reach."""
        return min(self.product, intensity * self.memory)


class Measured(NamedTuple):
    """A case on a CPU.

    Attributes:
        title: What is done.
        machine: As it was measured beside the case.
        intensity: Operations needed for each byte of operands, each operand counted once an instruction.
        reached: Operations needed a second, by the median of turns.
        slowest: The same of the slowest turn.
        fastest: The same of the fastest turn.
    """

    title: str
    machine: Machine
    intensity: float
    reached: float
    slowest: float
    fastest: float


class Side(NamedTuple):
    """A program for a chip: its operations for each byte of main memory, and the seconds that it takes at least."""

    intensity: float
    seconds: float


class Compiled(NamedTuple):
    """A case on a chip of a TPU, not run; None where the plain port does not fit."""

    title: str
    plain: Side | None
    ours: Side


def measured(counts: Mapping[str, Any], results: Mapping[str, Any]) -> list[Measured]:
    """The cases whose operations were counted and whose seconds were measured.

    Args:
        counts: Content of counts.json.
        results: Content of a file of `benchmarks.side_by_side`. The rate of a product is that beside the case, or else
            the median of those beside others; that of memory the median over commands.

    Raises:
        ValueError: The rate of a product was not measured, or no case is in both.
    """
    import numpy as np

    from benchmarks.counts.programs import COMPILED, needed
    from benchmarks.side_by_side.cases import CASES
    from chronos_jax.chronos2.random_weights import SIZES

    config, found = SIZES[results["size"]], results["cases"]
    products = {name: of["share"]["product_flops_per_second"] for name, of in found.items() if "share" in of}
    memories = {of["command"]: of["machine"].get("memory_gb_per_second") for of in found.values()}
    rates = [rate for rate in memories.values() if rate is not None]
    if not products or not rates:
        raise ValueError("no rate of a plain product, or none of memory: measure embed-1024 and forecast-256 again")
    product, memory = float(np.median(list(products.values()))), float(np.median(rates)) * 1e9
    cases = []
    for name in COMPILED:
        if name not in found:
            continue
        planned, operations = needed(name, config)
        moved = counts["compiled"][f"bytes moved per position needed: {name}"] * planned.tokens_needed
        turns = [run["seconds"] for run in found[name]["runs"]["chronos_jax"]]
        seconds = found[name]["seconds"]["chronos_jax"]["median"], max(turns), min(turns)
        machine = Machine(products.get(name, product), memory)
        cases.append(Measured(CASES[name].title, machine, operations / moved, *(operations / s for s in seconds)))
    if not cases:
        raise ValueError(f"none of {', '.join(COMPILED)} was measured")
    return cases


def compiled(traffic: Mapping[str, Any]) -> tuple[str, Machine, list[Compiled]]:
    """The kind of chip that programs were compiled for, its rates, and what they allow those programs.

    Args:
        traffic: Content of tpu_traffic.json.

    Raises:
        ValueError: Nothing was compiled, or not for one kind of chip whose rates are known here.
    """
    from benchmarks.tpu_traffic import words

    kinds = {case["topology"].partition(":")[0] for case in traffic.values()}
    if len(kinds) != 1 or not kinds <= CHIPS.keys():
        raise ValueError(
            f"programs are compiled for {', '.join(sorted(kinds)) or 'nothing'}: one kind of chip is shown, "
            f"of {', '.join(CHIPS)}"
        )
    (kind,) = kinds
    chip = Machine(*CHIPS[kind])

    def side(counted: Mapping[str, int]) -> Side:
        operations, moved = counted["flops"], counted["memory_traffic"]
        return Side(operations / moved, max(operations / chip.product, moved / chip.memory))

    cases = []
    for case in traffic.values():
        plain = None if case["plain"] is None else side(case["plain"])
        cases.append(Compiled(words(case["work"]), plain, side(case["ours"])))
    return kind, chip, cases


def tables(cpu: Sequence[Measured], tpu: tuple[str, Machine, Sequence[Compiled]]) -> str:
    """Both as Markdown."""
    from benchmarks.tpu_traffic import arrow

    lines = [
        f"| {SIZE} on a CPU, float32 | operations a byte | roof, GFLOP/s | reached | of the roof (lowest … highest) |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for case in cpu:
        roof = case.machine.roof(case.intensity)
        shares = " … ".join(f"{rate / roof:.0%}" for rate in (case.slowest, case.fastest))
        rates = f"{roof / 1e9:,.0f} | {case.reached / 1e9:,.0f}"
        lines.append(f"| {case.title} | {case.intensity:,.0f} | {rates} | {case.reached / roof:.0%} ({shares}) |")
    memory, ridge = cpu[0].machine.memory, min(case.machine.ridge for case in cpu)
    lines += [
        "",
        f"Memory is read and written at {memory / 1e9:,.0f} GB/s; the ridge is at {ridge:,.0f} operations a byte.",
        "",
    ]
    kind, chip, programs = tpu
    lines += [
        f"| {SIZE} on a chip of a TPU {kind}, bfloat16, not run | operations a byte, plain → ours "
        "| takes at least, ms, plain → ours | limit, plain → ours |",
        "| --- | ---: | ---: | --- |",
    ]
    for program in programs:
        sides = [program.plain, program.ours]
        intensities = arrow(side and f"{side.intensity:,.0f}" for side in sides)
        seconds = arrow(side and f"{side.seconds * 1e3:,.2f}" for side in sides)
        limits = arrow(side and ("products" if side.intensity > chip.ridge else "memory") for side in sides)
        lines.append(f"| {program.title} | {intensities} | {seconds} | {limits} |")
    rates = f"{chip.product / 1e12:,.0f} TFLOP/s and {chip.memory / 1e9:,.0f} GB/s"
    lines += ["", f"The maker's peaks are {rates}; the ridge is at {chip.ridge:,.0f} operations a byte."]
    return "\n".join(lines) + "\n"


def picture(cpu: Sequence[Measured], tpu: tuple[str, Machine, Sequence[Compiled]]) -> "Figure":
    """Left what was reached below the roof, right on which side of the ridge programs for the TPU are."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained", facecolor="white")
    left, right = figure.subplots(1, 2)
    product, memory = max(case.machine.product for case in cpu), cpu[0].machine.memory
    highest = Machine(product, memory)
    ends = [1, highest.ridge, 1000]
    left.loglog(ends, [highest.roof(x) / 1e9 for x in ends], color="black", label="roof")
    for case in cpu:
        left.plot(case.intensity, case.reached / 1e9, "o", label=case.title)
    left.set(title="CPU, float32", xlabel="operations a byte", ylabel="GFLOP/s", ylim=(10, 1000))
    left.legend(fontsize=8, frameon=False, loc="lower right")
    kind, chip, programs = tpu
    for row, program in enumerate(programs):
        if program.plain is not None:
            ends = [program.plain.intensity, program.ours.intensity]
            right.plot(ends, [row, row], color="C0", linewidth=1)
            right.plot(ends[0], row, "o", color="C0", markerfacecolor="white", label=None if row else "plain port")
        right.plot(program.ours.intensity, row, "o", color="C0", label=None if row else "ours")
    right.axvline(chip.ridge, color="black", label="ridge: left of it memory is the limit")
    right.set(
        title=f"TPU {kind}, bfloat16, compiled only",
        xscale="log",
        xlabel="operations a byte of main memory",
        xlim=(50, 20_000),
    )
    right.set_yticks(range(len(programs)), [program.title for program in programs])
    right.set_ylim(len(programs) + 1.5, -0.5)
    right.legend(fontsize=8, frameon=False, loc="lower right")
    for axis in (left.xaxis, left.yaxis, right.xaxis):
        axis.set_major_formatter("{x:,.0f}")
        axis.set_minor_formatter("")
    return figure


def main() -> None:
    """Prints the tables, or writes them with the picture."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.roofline", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="write docs/performance.md and docs/roofline.svg")
    options = parser.parse_args()
    from benchmarks.side_by_side.results import read_results, results_file

    try:
        if options.write:
            check_place(PAGE, *PLACE)
        counts, traffic = (json.loads((RESULTS / name).read_text()) for name in ("counts.json", "tpu_traffic.json"))
        cpu = measured(counts, read_results(results_file(RESULTS, SIZE, "float32", "cpu")))
        tpu = compiled(traffic)
    except (OSError, ValueError, LookupError) as error:
        parser.error(f"the files in {RESULTS} do not make a roofline: {type(error).__name__}: {error}")
    text = tables(cpu, tpu)
    print(text)
    if options.write:
        write_between(PAGE, *PLACE, text)
        with replacing(PICTURE) as beside:
            # The same file for the same numbers, which it holds as text, too.
            metadata = {"Date": None, "Creator": None, "Description": text}
            picture(cpu, tpu).savefig(beside, format="svg", metadata=metadata)


if __name__ == "__main__":
    main()
