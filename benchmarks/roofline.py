"""Cases against the roofline: how many operations a byte they have, what that allows on a machine, what was reached.

    python -m benchmarks.roofline [--write]

Measures and compiles nothing. Operations and bytes are those that `benchmarks.counts` recorded; seconds, the rate of a
plain product and that of copies those of `benchmarks.side_by_side`; bytes of main memory on a TPU those of
`benchmarks.tpu_traffic`. `--write` puts the tables into docs/performance.md and draws docs/roofline.svg. The model is
that of Williams, Waterman and Patterson, Communications of the ACM 52 (4), 2009.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.pages import check_place, write_between
from chronos_jax.replacing import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
PLACE = "roofline", "benchmarks.roofline --write"
PICTURE = ROOT / "docs" / "roofline.svg"
RESULTS = ROOT / "benchmarks" / "results"
SIZE = "chronos-2"

# Published: matrix products in bfloat16, operations a second, and bytes a second of HBM, of a chip.
CHIPS = {"v5e": (197e12, 819e9)}


class Machine(NamedTuple):
    """Where the roof is: operations a second of a plain matrix product, and bytes a second of a copy."""

    name: str
    product: float
    copy: float

    def roof(self, intensity: float) -> float:
        """Operations a second that a program with so many operations a byte can reach."""
        return min(self.product, intensity * self.copy)


class Measured(NamedTuple):
    """A case on a CPU.

    Attributes:
        title: What is done.
        counted: Operations a byte where every operand of every instruction comes from memory, as if nothing held it.
        weights: Operations a byte where the weights come from memory once a batch, and nothing else does.
        reached: Operations a second.
    """

    title: str
    counted: float
    weights: float
    reached: float


class Compiled(NamedTuple):
    """A case on a chip of a TPU, not run: operations for each byte of HBM, of the plain port and of ours."""

    title: str
    plain: float | None
    ours: float


def measured(counts: Mapping[str, Any], results: Mapping[str, Any]) -> tuple[Machine, list[Measured]]:
    """The machine of results, and its cases as far as their operations were counted.

    Args:
        counts: Content of counts.json.
        results: Content of a file of `benchmarks.side_by_side`.

    Raises:
        ValueError: The rate of a product was not measured, or no case is in both.
    """
    import jax
    import numpy as np

    from benchmarks.counts.plans import plan
    from benchmarks.side_by_side.cases import CASES
    from chronos_jax.chronos2.random_weights import SIZES

    config, found, cases = SIZES[results["size"]], results["cases"], []
    for name, case in CASES.items():
        moved = counts["compiled"].get(f"bytes moved per position needed: {name}")
        if name not in found or moved is None or case.flops is None or case.make is None:
            continue
        planned = plan(case.make(), config)
        operations = case.flops(config) * counts["compiled"][f"operations computed per operation needed: {name}"]
        weights = sum(leaf.size * np.dtype(leaf.dtype).itemsize for leaf in jax.tree.leaves(planned.model[1]))
        cases.append(
            Measured(
                case.title,
                operations / (moved * planned.tokens_needed),
                operations / (weights * len(planned.batches)),
                operations / found[name]["seconds"]["chronos_jax"]["median"],
            )
        )
    products = [case["share"]["product_flops_per_second"] for case in found.values() if "share" in case]
    if not products or not cases:
        raise ValueError("no rate of a plain product, or no case that was counted: measure embed-1024 and forecast-256")
    copies = [case["machine"]["memory_gb_per_second"] for case in found.values()]
    return Machine("CPU", float(np.median(products)), float(np.median(copies)) * 1e9), cases


def compiled(traffic: Mapping[str, Any]) -> tuple[Machine, list[Compiled]]:
    """The chip that programs were compiled for, and operations for each byte that they move to its memory and back.

    Args:
        traffic: Content of tpu_traffic.json.

    Raises:
        ValueError: The rates of such a chip are not known here.
    """
    from benchmarks.tpu_traffic import words

    kinds = {case["topology"].partition(":")[0] for case in traffic.values()}
    if len(kinds) != 1 or not kinds <= CHIPS.keys():
        raise ValueError(f"programs compiled for {', '.join(sorted(kinds))}: known are the rates of {', '.join(CHIPS)}")

    def intensity(side: Mapping[str, int] | None) -> float | None:
        return None if side is None else side["flops"] / side["memory_traffic"]

    cases = []
    for case in traffic.values():
        ours = intensity(case["ours"])
        if ours is not None:
            cases.append(Compiled(words(case["work"]), intensity(case["plain"]), ours))
    (kind,) = kinds
    return Machine(f"TPU {kind}", *CHIPS[kind]), cases


def tables(cpu: tuple[Machine, Sequence[Measured]], tpu: tuple[Machine, Sequence[Compiled]]) -> str:
    """Both as Markdown."""
    machine, cases = cpu
    lines = [
        f"| {machine.name}, float32 | operations a byte, every operand … weights alone | roof, GFLOP/s | reached "
        "| of the higher |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for case in cases:
        low, high = machine.roof(case.counted), machine.roof(case.weights)
        roof = f"{low / 1e9:,.0f}" if low == high else f"{low / 1e9:,.0f} … {high / 1e9:,.0f}"
        intensity = f"{case.counted:,.0f} … {case.weights:,.0f}"
        lines.append(f"| {case.title} | {intensity} | {roof} | {case.reached / 1e9:,.0f} | {case.reached / high:.0%} |")
    lines += ["", _words(machine, "GFLOP/s", 1e9), ""]
    chip, programs = tpu
    lines += [
        f"| {chip.name}, bfloat16, compiled only | operations a byte of HBM, plain → ours "
        "| roof, TFLOP/s, plain → ours |",
        "| --- | ---: | ---: |",
    ]
    for program in programs:
        sides = [program.plain, program.ours]
        intensities = " → ".join("does not fit" if side is None else f"{side:,.0f}" for side in sides)
        roofs = " → ".join("–" if side is None else f"{chip.roof(side) / 1e12:,.0f}" for side in sides)
        lines.append(f"| {program.title} | {intensities} | {roofs} |")
    lines += ["", _words(chip, "TFLOP/s", 1e12)]
    return "\n".join(lines) + "\n"


def _words(machine: Machine, unit: str, scale: float) -> str:
    ridge = machine.product / machine.copy
    return f"{machine.product / scale:,.0f} {unit} over {machine.copy / 1e9:,.1f} GB/s: {ridge:,.0f} operations a byte."


def draw(path: Path, cpu: tuple[Machine, Sequence[Measured]], tpu: tuple[Machine, Sequence[Compiled]]) -> None:
    """Both rooflines side by side, as an SVG that is the same for the same numbers."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "roofline", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(11, 4.6), layout="constrained", facecolor="white")
        left, right = figure.subplots(1, 2)
        machine, cases = cpu
        _roof(left, machine, 1e9, (10, 4000))
        for number, case in enumerate(cases):
            color, height = f"C{number}", case.reached / 1e9
            left.plot([case.counted, case.weights], [height, height], color=color, linewidth=1)
            left.plot(case.counted, height, "o", color=color, label=case.title)
            left.plot(case.weights, height, "|", color=color)
        left.set_title(f"{machine.name}, float32: reached")
        left.set_xlabel("operations a byte: every operand (dot) … weights alone (line's end)")
        left.set_ylabel("GFLOP/s")
        chip, programs = tpu
        _roof(right, chip, 1e12, (20, 100_000))
        for number, program in enumerate(programs):
            color = f"C{number}"
            if program.plain is not None:
                right.plot(program.plain, chip.roof(program.plain) / 1e12, "o", color=color, fillstyle="none")
            right.plot(program.ours, chip.roof(program.ours) / 1e12, "o", color=color, label=program.title)
        right.set_title(f"{chip.name}, bfloat16, not run: roof of the plain port (○) and of ours (●)")
        right.set_xlabel("operations a byte of HBM")
        right.set_ylabel("TFLOP/s")
        for axes in (left, right):
            axes.legend(fontsize=7, loc="lower right", frameon=False)
            axes.grid(which="both", linewidth=0.3, alpha=0.5)
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter("{x:,.0f}")
                axis.set_minor_formatter("")
            axes.yaxis.set_minor_formatter(lambda y, _: f"{y:,.0f}" if f"{y:.0e}"[0] in "235" else "")
        with replacing(path) as beside:
            figure.savefig(beside, format="svg", metadata={"Date": None})


def _roof(axes: "Axes", machine: Machine, scale: float, ends: tuple[float, float]) -> None:
    ridge = machine.product / machine.copy
    axes.loglog([ends[0], ridge, ends[1]], [machine.roof(x) / scale for x in (ends[0], ridge, ends[1])], color="black")


def main() -> None:
    """Prints the tables, or writes them with the picture."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.roofline", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="write docs/performance.md and docs/roofline.svg")
    options = parser.parse_args()
    from benchmarks.side_by_side.results import read_results, results_file

    if options.write:
        check_place(PAGE, *PLACE)
    counts, traffic = (json.loads((RESULTS / name).read_text()) for name in ("counts.json", "tpu_traffic.json"))
    try:
        cpu = measured(counts, read_results(results_file(RESULTS, SIZE, "float32", "cpu")))
        tpu = compiled(traffic)
    except ValueError as error:
        parser.error(str(error))
    text = tables(cpu, tpu)
    print(text)
    if options.write:
        write_between(PAGE, *PLACE, text)
        draw(PICTURE, cpu, tpu)


if __name__ == "__main__":
    main()
