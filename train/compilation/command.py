"""What `python -m train.compile` does once the environment is set."""

import sys
from collections.abc import Sequence

from jax.sharding import Mesh
from rich.console import Console

from chronos_jax.sharding import batch_shards, make_mesh
from train.chips import Chip, chip_of
from train.compilation.measure import Verdict, measure
from train.compilation.options import CompileOptions, parse
from train.compilation.programs import DataShapes, extraction, training_step
from train.compilation.report import Report, in_words
from train.compilation.search import largest_that_fits
from train.compilation.topology import topology_devices
from train.config import TrainConfig, make_config

MOST = 2**20  # windows per chip that --find_batch tries
WIDTH = 100  # of the table where it goes into a file or a pipe


def run(arguments: Sequence[str]) -> int:
    """Runs the command; returns the exit code: 0 all fits, 1 it does not, 2 something is wrong."""
    try:
        return _compile(parse(arguments))
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _compile(options: CompileOptions) -> int:
    if options.topology is None:
        raise ValueError("--topology is missing: name the slice to compile for, such as --topology v5e:16x16")
    config = options.config()
    devices = topology_devices(options.topology)
    mesh = make_mesh(config.mesh.model_dump(), devices)
    chip = chip_of(devices[0].device_kind)
    assert chip is not None, "every topology is of a chip in the table"
    limit = chip.memory if options.memory_limit is None else int(options.memory_limit * 2**30)
    data = DataShapes.of(config)
    log = Console(stderr=True, highlight=False, soft_wrap=True)

    verdicts = []
    if config.encoder == "chronos2":
        log.print(f"compiling feature extraction for {options.topology} …")
        verdicts.append(measure(extraction(config, data, mesh), chip, limit))
    if options.find_batch:
        verdicts.append(_find(config, data, mesh, chip, limit, log))
    else:
        if options.per_chip_batch is not None:
            config = _with_batch(config, options.per_chip_batch * batch_shards(mesh))
        log.print(f"compiling the training step for {options.topology} …")
        verdicts.append(measure(training_step(config, data, mesh), chip, limit))

    report = Report(options.topology, mesh, chip, limit, verdicts, data.assumptions)
    if options.json_output:
        print(report.as_json())
    else:
        report.print_to(Console() if sys.stdout.isatty() else Console(width=WIDTH))
    return 0 if report.fits else 1


def _find(config: TrainConfig, data: DataShapes, mesh: Mesh, chip: Chip, limit: int, log: Console) -> Verdict:
    """The verdict on the largest batch that fits, or, where none does, on the smallest."""
    tried: dict[int, Verdict] = {}

    def fits(size: int) -> bool:
        program = training_step(_with_batch(config, size * batch_shards(mesh)), data, mesh)
        verdict = tried[size] = measure(program, chip, limit)
        log.print(f"{size:>9,} windows per chip, compiled in {verdict.seconds:.0f} s: {in_words(verdict)}")
        return verdict.fits

    largest = largest_that_fits(fits, MOST)
    log.print(f"largest batch per chip found: {largest:,}")
    return tried[largest or min(tried)]


def _with_batch(config: TrainConfig, batch_size: int) -> TrainConfig:
    return make_config(config.model_dump() | {"batch_size": batch_size}, f"with batch_size {batch_size}")
