"""The text of a compiled program (HLO) as instructions, and how often each of them runs."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

# Bits of an element; types that hold no data (token, opaque) are absent and take none.
BITS = {"pred": 8, "f8e8m0fnu": 8, "bf16": 16, "c64": 64, "c128": 128}
BITS |= {f"{kind}{bits}": bits for kind in ("s", "u") for bits in (2, 4, 8, 16, 32, 64)}
BITS |= {f"f{bits}": bits for bits in (16, 32, 64)}
BITS |= {f"f8{form}": 8 for form in ("e5m2", "e4m3", "e4m3fn", "e4m3b11fnuz", "e5m2fnuz", "e4m3fnuz", "e3m4")}

_ARRAY = re.compile(r"(\w+)\[([\d,<=]*)\](\{[^}]*\})?")
_SPACE = re.compile(r"S\((\d+)\)")
_HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_LINE = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = (.+)$")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_CALLED = re.compile(r"(?:calls|to_apply|body|true_computation|false_computation)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")

# Instructions that run another computation once, as part of the program rather than once per element.
CALLERS = ("call", "async-start", "conditional")


class ArrayShape(NamedTuple):
    """An array of the program, as one chip holds it."""

    dtype: str
    sizes: tuple[int, ...]
    space: int  # 0 is the chip's main memory; others are its scratch memories, or the host's

    @property
    def elements(self) -> int:
        """How many numbers it has."""
        return math.prod(self.sizes)

    @property
    def bytes(self) -> int:
        """What they take, without padding."""
        return -(-self.elements * BITS.get(self.dtype, 0) // 8)


@dataclass(frozen=True)
class Instruction:
    """One instruction: `name = results opcode(operands), attributes`."""

    name: str
    opcode: str
    results: tuple[ArrayShape, ...]  # of a tuple, its elements, however nested
    operands: tuple[str, ...]
    literal: str  # what stands between the parentheses, such as the value of a constant
    attributes: str
    is_root: bool

    def called(self, attribute: str) -> str | None:
        """The computation that an attribute such as `body` names."""
        found = re.search(rf"\b{attribute}=%?([\w.\-]+)", self.attributes)
        return found.group(1) if found else None


@dataclass(frozen=True)
class Computation:
    """A list of instructions."""

    name: str
    instructions: tuple[Instruction, ...]

    @cached_property
    def by_name(self) -> dict[str, Instruction]:
        """Its instructions by name."""
        return {instruction.name: instruction for instruction in self.instructions}

    @cached_property
    def root(self) -> Instruction:
        """The instruction whose result is that of the computation."""
        return next(instruction for instruction in self.instructions if instruction.is_root)

    def operands(self, instruction: Instruction) -> list[Instruction]:
        """The instructions that give an instruction its operands."""
        return [self.by_name[name] for name in instruction.operands if name in self.by_name]


class Execution(NamedTuple):
    """An instruction, where it stands, and how often it runs in one run of the program."""

    instruction: Instruction
    computation: Computation
    times: int


@dataclass(frozen=True)
class Program:
    """All computations of a program, and the one it begins with."""

    computations: dict[str, Computation]
    entry: Computation

    def executions(self, into_fusions: bool) -> Iterator[Execution]:
        """Every instruction that runs, with the trip counts of the loops around it multiplied.

        A loop whose number of trips cannot be read from the program counts once.

        Args:
            into_fusions: Give also the instructions that a fusion is made of, after the fusion.
        """
        yield from self._run(self.entry, 1, into_fusions)

    def _run(self, computation: Computation, times: int, into_fusions: bool) -> Iterator[Execution]:
        for instruction in computation.instructions:
            yield Execution(instruction, computation, times)
            if instruction.opcode == "while":
                trips = self.trip_count(instruction, computation)
                body = self.computations[str(instruction.called("body"))]
                yield from self._run(body, times * (1 if trips is None else trips), into_fusions)
            elif instruction.opcode in CALLERS or (into_fusions and instruction.opcode == "fusion"):
                names = _CALLED.findall(instruction.attributes)
                for branches in _BRANCHES.findall(instruction.attributes):
                    names += [name.strip().removeprefix("%") for name in branches.split(",")]
                for name in names:
                    yield from self._run(self.computations[name], times, into_fusions)

    def trip_count(self, loop: Instruction, computation: Computation) -> int | None:
        """How often a loop runs: as the compiler notes it, or as its condition counts up to a constant; else None."""
        if noted := _TRIPS.search(loop.attributes):
            return int(noted.group(1))
        condition = self.computations[str(loop.called("condition"))]
        compare = condition.root
        if compare.opcode != "compare" or "direction=LT" not in compare.attributes:
            return None
        carried = computation.by_name.get(loop.operands[0])
        counter, bound = condition.operands(compare)
        first = self._constant(counter, condition, carried, computation)
        last = self._constant(bound, condition, carried, computation)
        return None if first is None or last is None else max(last - first, 0)

    def _constant(
        self, value: Instruction, condition: Computation, carried: Instruction | None, around: Computation
    ) -> int | None:
        """An integer of a loop's condition as it is before the first trip, where that is a constant."""
        if value.opcode == "get-tuple-element" and carried is not None and carried.opcode == "tuple":
            index = re.search(r"index=(\d+)", value.attributes)
            assert index is not None, "every get-tuple-element has one"
            value, condition = around.by_name[carried.operands[int(index.group(1))]], around
        while value.opcode in ("copy", "convert", "bitcast") and value.operands[0] in condition.by_name:
            value = condition.by_name[value.operands[0]]
        return int(value.literal) if value.opcode == "constant" and re.fullmatch(r"-?\d+", value.literal) else None


def parse_program(text: str) -> Program:
    """Reads what `jax.stages.Compiled.as_text` gives.

    Raises:
        ValueError: The text has no entry computation.
    """
    computations: dict[str, Computation] = {}
    entry, name = None, ""
    lines: list[Instruction] = []
    for line in text.splitlines():
        if header := _HEADER.match(line):
            name, lines = header.group(2), []
            entry = name if header.group(1) else entry
        elif line.startswith("}") and name:
            computations[name] = Computation(name, tuple(lines))
            name = ""
        elif name and (found := _LINE.match(line)):
            lines.append(_instruction(found.group(2), found.group(3), is_root=bool(found.group(1))))
    if entry is None:
        raise ValueError("this is no text of a compiled program: it has no ENTRY computation")
    return Program(computations, computations[entry])


def _instruction(name: str, rest: str, is_root: bool) -> Instruction:
    results, rest = _split_type(rest)
    opcode, _, rest = rest.partition("(")
    end = _closing(rest)
    inside = rest[:end]
    return Instruction(
        name,
        opcode,
        tuple(_arrays(results)),
        tuple(re.findall(r"%([\w.\-]+)", inside)),
        inside,
        rest[end + 1 :],
        is_root,
    )


def _split_type(rest: str) -> tuple[str, str]:
    end = _closing(rest[1:]) + 2 if rest.startswith("(") else rest.index(" ")
    return rest[:end], rest[end:].lstrip()


def _closing(text: str) -> int:
    """Where the parenthesis is closed that stands open before the text."""
    depth = 1
    for found in re.finditer(r"[()]", text):
        depth += 1 if found.group() == "(" else -1
        if not depth:
            return found.start()
    return len(text)


def _arrays(text: str) -> Iterator[ArrayShape]:
    for dtype, sizes, layout in _ARRAY.findall(text):
        space = _SPACE.search(layout)
        numbers = tuple(int(size.removeprefix("<=")) for size in sizes.split(",") if size)
        yield ArrayShape(dtype, numbers, int(space.group(1)) if space else 0)
