"""What calls compute beyond what they need: positions that only fill up, operations, and bytes moved."""

from collections.abc import Callable

from benchmarks.counts.plans import Plan, plan
from benchmarks.side_by_side.cases import CASES
from chronos_jax import Chronos2Config
from train.compilation.costs import matrix_flops, memory_traffic
from train.compilation.hlo import parse_program

PADDED = ("embed-1024", "forecast-256", "ragged-2000", "multivariate", "long-context", "cross-learning", "dataframe")

# Of few shapes, since each is compiled.
COMPILED = ("embed-1024", "forecast-256", "multivariate", "long-context", "long-history", "cross-learning")


def padding(config: Chronos2Config, cases: tuple[str, ...] = PADDED) -> dict[str, float]:
    """Case → positions computed for each that is needed, on a CPU and on a GPU, and shapes of batches."""
    found: dict[str, float] = {}
    for device, on_cpu in {"CPU": True, "GPU": False}.items():
        for name in cases:
            planned = plan(_call(name), config, on_cpu=on_cpu)
            padded = planned.tokens_computed / planned.tokens_needed
            found[f"{device}, positions computed per position needed: {name}"] = padded
            found[f"{device}, shapes to compile: {name}"] = len(planned.shapes)
    return dict(sorted(found.items()))


def operations(config: Chronos2Config, cases: tuple[str, ...] = COMPILED) -> dict[str, float]:
    """Case → operations of products computed for each that is needed, and bytes moved for each position needed.

    Over all batches of the case, as compiled for this machine's default device; trips of loops are counted, and bytes
    as instructions read and write them, wherever they come from.
    """
    flops, moved = {}, {}
    for name in cases:
        planned, necessary = needed(name, config)
        operations = traffic = 0
        for batch, number in planned.shapes:
            program = parse_program(str(planned.lower(batch).compile().as_text()))
            operations += number * matrix_flops(program)
            traffic += number * memory_traffic(program)
        flops[f"operations computed per operation needed: {name}"] = operations / necessary
        moved[f"bytes moved per position needed: {name}"] = traffic / planned.tokens_needed
    return flops | moved


def needed(name: str, config: Chronos2Config) -> tuple[Plan, int]:
    """What a CPU would compute of one of the `COMPILED` cases, and how many operations the model needs for it."""
    necessary = CASES[name].flops
    assert necessary is not None, "the operations that these cases need are counted"
    return plan(_call(name), config), necessary(config)


def _call(name: str) -> Callable[[object], object]:
    make = CASES[name].make
    assert make is not None, "these cases are calls, not processes"
    return make()
