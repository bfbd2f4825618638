"""Counts what does not depend on the machine, and compares it with what is recorded: a minute, two with --tpu.

    python -m benchmarks.counts [--tpu] [--write]

Compilations in a fixed series of calls, positions and operations computed beyond those needed, bytes moved, and passes
of the encoder in training. The exit code is 1 where a number is worse than in benchmarks/results/counts.json, or in one
place only, 2 where nothing is recorded or the TPU compiler is absent, else 0. `--write` records numbers as they are.
Where JAX is another version than the recorded one, what its compilers decide is only told. `--tpu` counts by the TPU
compiler, too, which needs no TPU: pip install 'jax[tpu]', or TPU_LIBRARY_PATH. Its releases differ: record and compare
with the libtpu that this JAX asks for.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.pages import check_place, write_between
from train.compilation.topology import prepare_environment, topology_devices

if TYPE_CHECKING:
    from benchmarks.counts.recorded import Counts

RESULTS = Path(__file__).parents[1] / "results" / "counts.json"
PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
PLACE = "counts", "benchmarks.counts --tpu --write"
SIZE = "chronos-2"
TPU_CASE, TOPOLOGY = "embed-64", "v5e:2x4"


def count(tpu: bool) -> "Counts":
    """All numbers, each part announced on stderr."""
    import jax

    jax.config.update("jax_platforms", "cpu")
    from benchmarks.counts.compilations import compilations
    from benchmarks.counts.programs import operations, padding
    from benchmarks.counts.recorded import Counts
    from benchmarks.counts.training import encoder_passes
    from chronos_jax.chronos2.random_weights import SIZES

    config = SIZES[SIZE]
    _say("planning calls")
    padded = padding(config)
    _say("compiling for calls")
    calls = compilations()
    _say("training")
    passes = encoder_passes()
    _say(f"compiling programs of {SIZE}")
    compiled = operations(config)
    return Counts(padded | calls | passes, compiled, _tpu_counts() if tpu else None, jax.__version__)


def _tpu_counts() -> dict[str, float]:
    from benchmarks.tpu_traffic import CASES, measured

    case = measured([TPU_CASE], SIZE, TOPOLOGY)[TPU_CASE]
    ours, groups = case["ours"], CASES[TPU_CASE][0]
    return {
        f"TPU, bytes accessed a window: {TPU_CASE}": ours["bytes_accessed"] / groups,
        f"TPU, bytes of main memory a window: {TPU_CASE}": ours["memory_traffic"] / groups,
        f"TPU, bytes of temporaries: {TPU_CASE}": ours["temporaries"],
    }


def _say(what: str) -> None:
    print(f"{what} …", file=sys.stderr, flush=True)


def main() -> int:
    """Runs the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.counts", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tpu", action="store_true", help="count by the TPU compiler as well")
    parser.add_argument("--write", action="store_true", help="record the numbers as they are")
    parser.add_argument("--results", type=Path, default=RESULTS, help="default: benchmarks/results/counts.json")
    options = parser.parse_args()
    prepare_environment()
    from benchmarks.counts.recorded import markdown, read, write

    try:  # before anything that takes long
        if options.tpu:
            topology_devices(TOPOLOGY)
        if not options.write:
            recorded = read(options.results)
        elif options.results == RESULTS:
            check_place(PAGE, *PLACE)
    except (FileNotFoundError, ModuleNotFoundError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    found = count(options.tpu)
    if options.write:
        write(options.results, found)
        if options.results == RESULTS:
            write_between(PAGE, *PLACE, markdown(found))
        recorded = read(options.results)
    return report(recorded, found)


def report(recorded: "Counts", found: "Counts") -> int:
    """Prints all numbers and what is to be done about them; returns the exit code."""
    from benchmarks.counts.recorded import GATING, compare, table

    rows = compare(recorded, found)
    print(table(rows))
    verdicts = {row.verdict for row in rows}
    if "other compiler" in verdicts:
        print(f"\nRecorded with jax {recorded.jax}, this is {found.jax}: what compilers decide is told, not judged.")
    if "better" in verdicts:
        print("\nSome numbers are better than recorded: record them, with --write, so that they stay so.")
    if bad := [row for row in rows if row.verdict in GATING]:
        print(f"\n{len(bad)} of {len(rows)} numbers are worse than recorded, or not on both sides:\n{table(bad)}")
        print("Find out why. Where it is meant to be so, record it with --write and say why in the commit.")
        return 1
    print("\nNothing is worse than recorded.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
