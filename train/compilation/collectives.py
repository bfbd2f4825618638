"""What a program sends from chip to chip."""

from typing import NamedTuple

from train.compilation.hlo import Computation, Instruction, Program

KINDS = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "all-to-all",
    "ragged-all-to-all",
    "collective-permute",
    "collective-broadcast",
)


class Traffic(NamedTuple):
    """All collectives of one kind.

    Attributes:
        number: How many run in one run of the program, loops counted trip by trip.
        bytes: What they handle in all, per chip: of each the larger of what goes in and what comes out. What crosses
            the wires is about as much (all-gather, reduce-scatter, permute), or twice as much (all-reduce).
        largest: Bytes of the largest single one.
    """

    number: int
    bytes: int
    largest: int


def collectives(program: Program) -> dict[str, Traffic]:
    """The collectives of a program by kind; those it has none of are left out."""
    found: dict[str, list[tuple[int, int]]] = {}
    for instruction, computation, times in program.executions(into_fusions=True):
        kind = instruction.opcode.removesuffix("-start")
        if kind in KINDS:
            found.setdefault(kind, []).append((times, _size(instruction, computation)))
    return {
        kind: Traffic(
            sum(times for times, _ in calls),
            sum(times * size for times, size in calls),
            max(size for _, size in calls),
        )
        for kind, calls in sorted(found.items())
    }


def _size(instruction: Instruction, computation: Computation) -> int:
    given = sum(array.bytes for operand in computation.operands(instruction) for array in operand.results)
    # The asynchronous forms carry handles along, and most of them their operands too.
    results = sum(array.bytes for array in instruction.results if array[:2] != ("u32", ()))
    if instruction.opcode.endswith("-start") and instruction.opcode != "all-reduce-start":
        results -= given
    return max(given, results)
