"""What embeddings and forecasts move on a chip of a TPU slice, by the TPU compiler, which needs no TPU.

    TPU_LIBRARY_PATH=…/libtpu.so python -m benchmarks.tpu_traffic [--cases embed-64 …] [--write]

Of the plain port (`benchmarks.plain_encoder`) and of ours, in bfloat16, for each chip's share of windows or series; a
minute or two for a case. Numbers go into benchmarks/results/tpu_traffic.json, where those of cases that are not run
stay; `--write` puts the table of all into docs/performance.md, and with `--cases` alone nothing is compiled for it.
Bytes accessed are the compiler's own count: what instructions read and write, also in scratch memory, arrays filled up
to whole tiles. It takes the body of a loop once, so it is of the program with its loops unrolled. Needs `libtpu` (pip
install libtpu, or TPU_LIBRARY_PATH).
"""

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.pages import check_place, write_between
from chronos_jax.replacing import replacing
from train.compilation.topology import prepare_environment, topology_devices

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
PLACE = "tpu traffic", "benchmarks.tpu_traffic --write"
RESULTS = ROOT / "benchmarks" / "results" / "tpu_traffic.json"

# Name → groups on a chip, variates, steps, horizon (none: embeddings).
CASES: dict[str, tuple[int, int, int, int | None]] = {
    **{f"embed-{windows}": (windows, 5, 50, None) for windows in (16, 64, 256, 1024)},
    "forecast-256": (256, 1, 512, 64),
    "long-context": (8, 1, 8192, 64),
    "cross-learning": (1, 100, 512, 64),
}


def measured(names: list[str], size: str, topology: str) -> dict[str, Any]:
    """Case → what it is, and the costs of both sides by name, None where one does not fit."""
    import jax

    from benchmarks.tpu_programs import Work, costs
    from chronos_jax.chronos2.random_weights import SIZES
    from chronos_jax.sharding import make_mesh

    mesh = make_mesh(devices=topology_devices(topology))
    results = {}
    for name in names:
        print(f"compiling {name} for {topology} …", file=sys.stderr, flush=True)
        work = Work(*CASES[name])
        sides = costs(work, f"random:{size}", SIZES[size], mesh)
        results[name] = {
            "work": work.__dict__,
            "size": size,
            "topology": topology,
            "jax": jax.__version__,
            "command": f"python -m benchmarks.tpu_traffic --size {size} --topology {topology} --cases {name}",
            **{side: None if cost is None else cost._asdict() for side, cost in sides.items()},
        }
        print(table({name: results[name]}).splitlines()[2], file=sys.stderr, flush=True)
    return results


def table(results: dict[str, Any]) -> str:
    """In Markdown: a row for each case, everything per chip, bytes accessed and moved also per window or series."""
    lines = [
        "| on each chip | bytes accessed a window or series, plain → ours | ratio | main memory, plain → ours | ratio "
        "| temporaries, plain → ours | products, plain → ours |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for case in results.values():
        plain, ours, work = case["plain"], case["ours"], case["work"]
        cells = [words(work)]
        whole = work["groups"] * (1 if work["horizon"] is None else work["variates"])  # windows, or series
        for key in ("bytes_accessed", "memory_traffic"):
            cells += [_arrow(plain, ours, key, whole), _ratio(plain, ours, key)]
        cells += [_arrow(plain, ours, "temporaries", 1), _arrow(plain, ours, "flops", 1000, "GFLOP")]
        lines.append(f"| {' | '.join(cells)} |")
    made = {(case["size"], case["topology"], case["jax"]) for case in results.values()}
    lines += ["", *(f"{size} in bfloat16, for {topology}, jax {version}." for size, topology, version in sorted(made))]
    return "\n".join(lines) + "\n"


def words(work: dict[str, Any]) -> str:
    """What is done on a chip, from the attributes of a `tpu_programs.Work`."""
    shape = f"{work['groups']:,} × {work['variates']} × {work['steps']:,}"
    return f"embed, {shape}" if work["horizon"] is None else f"forecast, {shape} → {work['horizon']}"


def arrow(sides: Iterable[str | None]) -> str:
    """From the plain port's cell to ours; None for what does not fit a chip."""
    return " → ".join(side or "does not fit" for side in sides)


def _arrow(plain: dict[str, int] | None, ours: dict[str, int] | None, key: str, parts: int, unit: str = "MB") -> str:
    digits = 1 if unit == "MB" else 0
    sides = (None if side is None else f"{side[key] / parts / 1e6:,.{digits}f}" for side in (plain, ours))
    return f"{arrow(sides)} {unit}"


def _ratio(plain: dict[str, int] | None, ours: dict[str, int] | None, key: str) -> str:
    return "–" if plain is None or ours is None else f"{plain[key] / ours[key]:.1f} ×"


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tpu_traffic",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--cases", nargs="*", choices=CASES, default=list(CASES), help="default: all")
    parser.add_argument("--size", default="chronos-2", help="chronos-2, chronos-2-small or tiny")
    parser.add_argument("--topology", default="v5e:2x4")
    parser.add_argument("--results", type=Path, default=RESULTS, help="default: benchmarks/results/tpu_traffic.json")
    parser.add_argument("--write", action="store_true", help="write the table into docs/performance.md")
    options = parser.parse_args()
    prepare_environment()
    if options.write:
        check_place(PAGE, *PLACE)  # before anything that takes minutes
    known = json.loads(options.results.read_text()) if options.results.exists() else {}
    same = ("size", options.size), ("topology", options.topology)
    if any(case[key] != value for case in known.values() for key, value in same):
        parser.error(f"{options.results} has results of another size or topology: name another file with --results")
    if options.cases:
        try:
            topology_devices(options.topology)
        except (FileNotFoundError, ModuleNotFoundError, ValueError) as error:
            parser.error(str(error))
        known |= measured(options.cases, options.size, options.topology)
    results = {name: known[name] for name in CASES if name in known}
    options.results.parent.mkdir(parents=True, exist_ok=True)
    with replacing(options.results) as beside:
        beside.write_text(json.dumps(results, indent=1) + "\n")
    print(table(results))
    if options.write:
        write_between(PAGE, *PLACE, table(results))


if __name__ == "__main__":
    main()
