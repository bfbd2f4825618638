"""Compares this project with the PyTorch reference (chronos-forecasting), case by case, on one machine.

    python -m benchmarks.side_by_side [--size chronos-2-small] [--cases embed-64 …] [--repeats 5] [--write]

For each case, each side is a process of its own with the same random weights, called as its users call it. After a
first call, which compiles and is not counted, both take turns, and which goes first alternates, so that whatever else
the machine does meets both. Told are medians, the least (in brackets), the ratio of medians, and the lowest and highest
ratio within one turn. The first answers are compared: `difference` is the largest one as a share of the reference's
largest value, and the exit code is 1 where rounding does not explain it; of pipelines in bfloat16 also where ours is
further from the reference in float32 than the reference in bfloat16. Every measurement goes to a JSON file in
benchmarks/results, beside the results of other cases that are there. Needs PyTorch and chronos-forecasting (the `test`
extra).

On a GPU it needs PyTorch for CUDA and jax[cuda] in place of the CPU builds; it has not been run on one. There float32
products are exact on both sides (jax_default_matmul_precision is "highest"), the reference uses its default attention
(SDPA), and memory is that of the device since the process began, without preallocation.

Cases:
"""

import argparse
import json
import shlex
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from rich.progress import Progress, TaskID

from benchmarks.pages import check_place, write_between
from benchmarks.side_by_side.cases import CASES, START, TRAINING
from benchmarks.side_by_side.loading import Setting
from benchmarks.side_by_side.machine import commit, facts
from benchmarks.side_by_side.results import FOLDER, PREFIX, check_machine, read_results, results_file, save_case
from benchmarks.side_by_side.running import Asked, run_case
from benchmarks.side_by_side.sides import ROOT, SideError
from benchmarks.side_by_side.table import HEADINGS, RULE, agrees, compact_table, full_table, lines
from benchmarks.side_by_side.training import Training
from chronos_jax.progress import progress_bar

SIZES = ("chronos-2", "chronos-2-small", "tiny")
PAGES = ROOT / "docs" / "performance.md", ROOT / "README.md"
PLACE = "speed", "benchmarks.side_by_side --write"


def compare(options: argparse.Namespace, command: str) -> bool:
    """Measures, prints and saves the cases; returns whether both sides gave the same answers to all of them.

    Raises:
        SideError: A process ended too early, or there is no such device.
        ValueError: The file of results has some of another machine.
    """
    import jax

    jax.config.update("jax_platforms", "cpu")  # of this process, which measures: the device belongs to the sides
    found = facts(options.device)
    device = found["device"]
    path = results_file(options.results, options.size, options.dtype, device)
    check_machine(path, options.cases[0], found["machine"])  # before anything is measured
    asked = Asked(options.repeats, options.compile, Training(options.windows, options.epochs, options.reference_epochs))
    print(f"{options.size}, {options.dtype}, {device}: {found['machine']}\n{found['versions']}\n")
    print(HEADINGS, RULE, sep="\n", flush=True)
    same = True
    with (
        tempfile.TemporaryDirectory() as room,
        progress_bar("{task.fields[done]}", show=sys.stderr.isatty()) as progress,
    ):
        setting = Setting(_checkpoint(Path(room), options.size), device, options.dtype)
        for case in options.cases:
            task = progress.add_task(case, total=None, done="starting")
            before = commit()
            own_room = Path(tempfile.mkdtemp(prefix=f"{case}-", dir=room))
            result = run_case(case, options.size, setting, asked, own_room, partial(_advance, progress, task))
            progress.remove_task(task)
            told = {
                "command": command,
                "date": datetime.now(UTC).isoformat(timespec="seconds"),
                "options": {key: value for key, value in asked._asdict().items() if key != "training"},
            }
            if (now := commit()) != before:
                raise SideError(
                    f"the checkout changed from {before} to {now} while {case} was measured: measure it again"
                )
            versions = found["versions"] | {"commit": now}
            save_case(path, case, result | told | {"machine": found["machine"], "versions": versions})
            print(*lines(result), sep="\n", flush=True)
            same &= agrees(result)
    print(f"\nsaved in {path}")
    return same


def write_pages(folder: Path, pages: Sequence[Path]) -> None:
    """Puts what is saved in a folder into the first page in full, and in short into the others.

    Raises:
        ValueError: There are no results, or a page has no place for them.
    """
    files = [read_results(path) for path in sorted(folder.glob(f"{PREFIX}_*.json"))]
    if not files:
        raise ValueError(f"no results in {folder}: measure some cases first")
    for results in files:
        if wrong := [case for case, result in results["cases"].items() if not agrees(result)]:
            raise ValueError(f"{results['size']}: answers to {', '.join(wrong)} differ by more than rounding")
    files.sort(key=lambda results: (results["device"], SIZES.index(results["size"]), results["dtype"]))
    for page in pages:
        text = compact_table(files) if page is not pages[0] else "\n".join(map(full_table, files))
        write_between(page, *PLACE, text)


def _advance(progress: Progress, task: TaskID, done: str) -> None:
    progress.update(task, advance=1, done=done)


def _checkpoint(room: Path, size: str) -> Path:
    from safetensors.numpy import save_file

    from chronos_jax.chronos2.random_weights import SIZES as CONFIGS
    from chronos_jax.chronos2.random_weights import random_tensors

    folder = room / size
    folder.mkdir()
    save_file(random_tensors(CONFIGS[size], 0), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(CONFIGS[size].to_dict()))
    return folder


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options."""
    listed = "\n".join(f"    {name:15} {case.title}" for name, case in CASES.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.side_by_side",
        description=(__doc__ or "") + listed,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--size", default="chronos-2", choices=SIZES)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "gpu"), help="auto: JAX's default")
    parser.add_argument(
        "--cases",
        nargs="*",
        choices=list(CASES),
        metavar="CASE",
        help=f"default: all but {TRAINING}, which takes long, and with --compile {START}; none, to write what is saved",
    )
    parser.add_argument("--repeats", type=int, default=5, help="turns of each case")
    parser.add_argument("--compile", action="store_true", help="measure the reference under torch.compile, too")
    parser.add_argument("--windows", type=int, default=5000, help=f"of the case {TRAINING}")
    parser.add_argument("--epochs", type=int, default=50, help=f"of the case {TRAINING}")
    parser.add_argument("--reference_epochs", type=int, default=2, help="how many of these the reference does")
    parser.add_argument("--results", type=Path, default=FOLDER, help="folder of the JSON files")
    parser.add_argument("--write", action="store_true", help="put saved results into docs/performance.md and README.md")
    options = parser.parse_args(arguments)
    if options.cases is None:
        options.cases = [case for case in CASES if case not in ((START, TRAINING) if options.compile else (TRAINING,))]
    if options.compile and (apart := {START, TRAINING} & set(options.cases)):
        parser.error(f"--compile is not for {' and '.join(sorted(apart))}: name other cases with --cases")
    for name in ("repeats", "windows", "epochs", "reference_epochs"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1, found {getattr(options, name)}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code: 1 where answers differ by more than rounding, or a process failed."""
    given = sys.argv[1:] if arguments is None else arguments
    options = parse(given)
    try:
        if options.write:  # before anything that takes long
            for page in PAGES:
                check_place(page, *PLACE)
        same = not options.cases or compare(options, shlex.join(["python", "-m", "benchmarks.side_by_side", *given]))
        if options.write:
            write_pages(options.results, PAGES)
    except (SideError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if not same:
        print("error: answers differ by more than rounding explains, see the column difference", file=sys.stderr)
    return int(not same)


if __name__ == "__main__":
    sys.exit(main())
