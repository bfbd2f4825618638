"""What a compiled program computes and moves on one chip, trips of loops counted.

The compiler's own analysis counts the body of a loop once, however often it runs: for twelve scanned layers it gives
the cost of one. So both numbers are read from the text of the program here.
"""

import re

import numpy as np

from train.compilation.hlo import ArrayShape, Computation, Instruction, Program

# They move nothing: names for what is there, or the end of what an earlier instruction began.
FREE = ("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "opt-barrier", "partition-id")
CONTROL = ("while", "call", "conditional", "async-start")
SLICES = ("slice", "dynamic-slice", "gather")
MAIN_MEMORY = 0

_DECLARED = re.compile(r'"cost_estimate":\{"flops":"(\d+)"')


def matrix_flops(program: Program) -> int:
    """Operations of the products of matrices (two per multiply and add), also where they are computed again.

    Of a kernel written by hand, all operations that it is declared to do (in Pallas: `cost_estimate`).
    """
    total = 0
    for instruction, computation, times in program.executions(into_fusions=True):
        if instruction.opcode in ("dot", "convolution"):
            first, second = (operand.results[0] for operand in computation.operands(instruction))
            count = _dot if instruction.opcode == "dot" else _convolution
            total += 2 * times * count(instruction, first, second)
        elif instruction.opcode == "custom-call" and (declared := _DECLARED.search(instruction.attributes)):
            total += times * int(declared.group(1))
    return total


def memory_traffic(program: Program) -> int:
    """Bytes read from and written to the chip's main memory: an estimate, since it goes by whole instructions.

    Operands and results that the compiler keeps in scratch memory cost nothing; of arrays that are only sliced or
    updated in places, those places count.
    """
    total = 0
    for instruction, computation, times in program.executions(into_fusions=False):
        if (
            instruction.opcode in FREE
            or instruction.opcode in CONTROL
            or instruction.opcode.endswith(("-done", "-update"))
        ):
            continue
        total += times * _moved(program, instruction, computation)
    return total


def _moved(program: Program, instruction: Instruction, computation: Computation) -> int:
    if instruction.opcode.endswith("-start"):  # the results of these name the operands, too
        return sum(_bytes(array) for array in instruction.results)
    fused = program.computations.get(instruction.called("calls") or "") if instruction.opcode == "fusion" else None
    read = 0
    for number, operand in enumerate(computation.operands(instruction)):
        whole = sum(_bytes(array) for array in operand.results)
        part = _read_of(program, fused, _parameter(fused, number)) if fused else _used(instruction, number)
        read += whole if part is None else min(whole, part)
    written = [_bytes(array) for array in instruction.results]
    if (updated := _updated(program, instruction, computation)) is not None:
        written = [min(sum(written), updated)]
    return read + sum(written)


def _read_of(program: Program, computation: Computation, value: Instruction) -> int | None:
    """Bytes of a value that the instructions of a fusion use; None for all of it."""
    total = 0
    for user in computation.instructions:
        for number, name in enumerate(user.operands):
            if name != value.name:
                continue
            if user.opcode == "bitcast":
                part = _read_of(program, computation, user)
            elif user.opcode == "fusion":
                inner = program.computations[str(user.called("calls"))]
                part = _read_of(program, inner, _parameter(inner, number))
            else:
                part = _used(user, number)
            if part is None:
                return None
            total += part
    return total


def _used(instruction: Instruction, operand: int) -> int | None:
    """Bytes that an instruction reads of an operand that it does not read whole; else None."""
    if operand == 0 and instruction.opcode in SLICES:
        return sum(array.bytes for array in instruction.results)
    return 0 if operand == 0 and instruction.opcode == "dynamic-update-slice" else None


def _updated(program: Program, instruction: Instruction, computation: Computation) -> int | None:
    """Bytes that an instruction writes where it changes places of an array that stays where it is; else None."""
    while instruction.opcode in ("fusion", "bitcast"):
        if instruction.opcode == "fusion":
            computation = program.computations[str(instruction.called("calls"))]
            instruction = computation.root
        else:
            operands = computation.operands(instruction)
            if not operands:
                return None
            instruction = operands[0]
    if instruction.opcode != "dynamic-update-slice":
        return None
    return sum(array.bytes for array in computation.operands(instruction)[1].results)


def _parameter(computation: Computation, number: int) -> Instruction:
    return next(
        instruction
        for instruction in computation.instructions
        if instruction.opcode == "parameter" and instruction.literal == str(number)
    )


def _bytes(array: ArrayShape) -> int:
    return array.bytes if array.space == MAIN_MEMORY else 0


def _dot(instruction: Instruction, first: ArrayShape, second: ArrayShape) -> int:
    found = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", instruction.attributes)
    contracted = [int(axis) for axis in found.group(1).split(",") if axis] if found else []
    return instruction.results[0].elements * int(np.prod([first.sizes[axis] for axis in contracted], dtype=np.int64))


def _convolution(instruction: Instruction, image: ArrayShape, kernel: ArrayShape) -> int:
    """Multiplications of a convolution, which is what a TPU makes of products, with batches as dilated windows."""
    labels = re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", instruction.attributes)
    assert labels is not None, "every convolution has labels"
    of_image, of_kernel, of_result = labels.groups()
    result = instruction.results[0]
    total = result.sizes[of_result.index("b")] * result.sizes[of_result.index("f")]
    total *= kernel.sizes[of_kernel.index("i")]
    window = dict(re.findall(r"(\w+)=([\w\-]+)", "".join(re.findall(r"window=\{([^}]*)\}", instruction.attributes))))
    for axis in range(len(of_image) - 2):
        at = str(axis)
        inside, taps, outside = (
            array.sizes[label.index(at)]
            for array, label in ((image, of_image), (kernel, of_kernel), (result, of_result))
        )
        stride, dilated, spread = (
            int(_along(window, key, axis, "1")) for key in ("stride", "lhs_dilate", "rhs_dilate")
        )
        pad = int(_along(window, "pad", axis, "0_0").split("_")[0])
        places = np.arange(outside)[:, None] * stride - pad + np.arange(taps)[None, :] * spread
        total *= int(((places >= 0) & (places % dilated == 0) & (places // dilated < inside)).sum())
    return total


def _along(window: dict[str, str], key: str, axis: int, default: str) -> str:
    return window[key].split("x")[axis] if key in window else default
