"""Compiles a program and measures, per chip, what it would take."""

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import jax
from jaxtyping import PyTree

from train.chips import Chip
from train.compilation.collectives import Traffic, collectives
from train.compilation.costs import matrix_flops, memory_traffic
from train.compilation.hlo import parse_program
from train.compilation.programs import Program

EXHAUSTED = "RESOURCE_EXHAUSTED"


@dataclass(frozen=True)
class Memory:
    """Bytes of a chip's main memory while a program runs.

    Attributes:
        parts: Of the arguments, by what they are, without padding.
        arguments: All of them as they lie in memory: padded to whole tiles, without those that nothing reads.
        outputs: Results that do not take the place of an argument.
        temporaries: What the program needs in between.
        code: The program itself.
    """

    parts: dict[str, int]
    arguments: int
    outputs: int
    temporaries: int
    code: int

    @property
    def total(self) -> int:
        """All of it together."""
        return self.arguments + self.outputs + self.temporaries + self.code


@dataclass(frozen=True)
class Counts:
    """What was counted in the text of a program, per chip, with the trips of loops.

    Attributes:
        flops: Products of matrices, recomputation included.
        traffic: Bytes from and to main memory.
        seconds_computing, seconds_moving: The least time for either at the chip's peaks.
        collectives: By kind.
    """

    flops: int
    traffic: int
    seconds_computing: float
    seconds_moving: float
    collectives: dict[str, Traffic]

    @property
    def intensity(self) -> float:
        """FLOPs per byte."""
        return self.flops / self.traffic


@dataclass(frozen=True)
class Cost:
    """What one run of a program costs each chip.

    Attributes:
        memory: Bytes of main memory.
        model_flops: What the model needs (`train.flops`).
        compiler_flops, compiler_bytes: The compiler's own count, which takes the body of a loop once and counts scratch
            memory too.
        counts: None where this JAX cannot read what this compiler writes.
    """

    memory: Memory
    model_flops: float
    compiler_flops: float
    compiler_bytes: float
    counts: Counts | None


@dataclass(frozen=True)
class Verdict:
    """Whether a program fits a chip, and, unless the compiler gave up, what it costs.

    Attributes:
        name: Of the program.
        windows_per_chip: Rows that a chip holds.
        chips: How many run it together.
        loss: Form of the loss; empty where there is none.
        fits: Whether it does.
        reason: Why not, else empty.
        cost: None where the compiler gave up.
        seconds: That the compiler took.
    """

    name: str
    windows_per_chip: int
    chips: int
    loss: str
    fits: bool
    reason: str
    cost: Cost | None
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Plain numbers and words."""
        content = asdict(self)
        if self.cost is not None:
            content["cost"]["memory"]["total"] = self.cost.memory.total
            if (counts := self.cost.counts) is not None:
                collectives = {kind: traffic._asdict() for kind, traffic in counts.collectives.items()}
                content["cost"]["counts"] |= {"intensity": counts.intensity, "collectives": collectives}
        return content


def measure(program: Program, chip: Chip, limit: int) -> Verdict:
    """Compiles a program for the chips that it was lowered for.

    Args:
        program: Lowered for some mesh.
        chip: What its devices are.
        limit: Bytes per chip that it may take, where that is less than the compiler has room for.

    Raises:
        jax.errors.JaxRuntimeError: The compiler fails for another reason than memory.
    """
    what = program.name, program.windows_per_chip, program.chips, program.loss
    began = time.perf_counter()
    try:
        compiled = program.lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if EXHAUSTED not in str(error):
            raise
        reason = str(error).removeprefix(f"{EXHAUSTED}: ").splitlines()[0]
        return Verdict(*what, False, reason, None, time.perf_counter() - began)
    cost = _cost(program, compiled, chip)
    total = cost.memory.total
    reason = "" if total <= limit else f"{total / 2**30:.2f} GiB is more than {limit / 2**30:.2f} GiB"
    return Verdict(*what, not reason, reason, cost, time.perf_counter() - began)


def _cost(program: Program, compiled: jax.stages.Compiled, chip: Chip) -> Cost:
    sizes, counted = compiled.memory_analysis(), compiled.cost_analysis()
    assert sizes is not None, "every compiler that is used here tells"
    assert counted is not None, "every compiler that is used here tells"
    memory = Memory(
        {name: bytes_per_chip(shapes) for name, shapes in program.parts.items()},
        sizes.argument_size_in_bytes,
        sizes.output_size_in_bytes - sizes.alias_size_in_bytes,
        sizes.temp_size_in_bytes,
        sizes.generated_code_size_in_bytes,
    )
    return Cost(
        memory,
        program.model_flops / program.chips,
        counted.get("flops", 0.0),
        counted.get("bytes accessed", 0.0),
        _counts(compiled, chip),
    )


def _counts(compiled: jax.stages.Compiled, chip: Chip) -> Counts | None:
    try:
        text = compiled.as_text()
    except jax.errors.JaxRuntimeError:
        return None
    program = parse_program(str(text))
    flops, traffic = matrix_flops(program), memory_traffic(program)
    return Counts(flops, traffic, flops / chip.flops, traffic / chip.bandwidth, collectives(program))


def bytes_per_chip(shapes: PyTree) -> int:
    """What one chip holds of arrays that know where they lie, without padding."""
    return sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes)
    )
