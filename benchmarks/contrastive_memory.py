"""What each form of the contrastive losses holds on a chip, by the TPU compiler, which needs no TPU.

    TPU_LIBRARY_PATH=…/libtpu.so python -m benchmarks.contrastive_memory [--write]

Value and gradient (both towers, scale and bias) in float32, D = 512, four captions for each window, with products of
the default and of the highest precision (jax_default_matmul_precision); five minutes for all. `--write` puts the table
into docs/losses.md. Needs `libtpu` (pip install libtpu, or TPU_LIBRARY_PATH); its releases differ.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp

from benchmarks.pages import check_place, write_between
from chronos_jax.sharding import make_mesh, named_sharding
from train.compilation.topology import prepare_environment, topology_devices
from train.losses import Implementation, Kind, Matches, make_loss

Precision = Literal["default", "highest"]

WIDTH, CAPTIONS = 512, 4
SIZES = [("v5e:2x4", 32_768), ("v5e:2x4", 131_072), ("v5e:16x16", 1_048_576)]
PAGE = Path(__file__).parents[1] / "docs" / "losses.md"
PLACE = "contrastive memory", "benchmarks.contrastive_memory --write"


def temporaries(
    kind: Kind, implementation: Implementation, precision: Precision, topology: str, batch_size: int
) -> float | None:
    """MiB that a chip holds beside embeddings and gradients; None where the compiler says that they do not fit."""
    mesh = make_mesh(devices=topology_devices(topology))
    loss = make_loss(kind, implementation, mesh)
    batch, everywhere = named_sharding(mesh, ("batch",)), named_sharding(mesh)

    def objective(*inputs: Any) -> tuple[Any, Any]:
        contrast = loss(*inputs)
        return contrast.loss, contrast

    embeddings = jax.ShapeDtypeStruct((batch_size, WIDTH), jnp.float32, sharding=batch)
    scalar = jax.ShapeDtypeStruct((), jnp.float32, sharding=everywhere)
    matches = Matches(
        jax.ShapeDtypeStruct((batch_size, CAPTIONS), jnp.int32, sharding=batch),  # type: ignore[arg-type]
        jax.ShapeDtypeStruct((batch_size,), jnp.int32, sharding=batch),  # type: ignore[arg-type]
    )
    gradient = jax.jit(
        jax.value_and_grad(objective, argnums=(0, 1, 2, 3), has_aux=True),
        out_shardings=(everywhere, (batch, batch, everywhere, everywhere)),
    )
    try:
        with jax.default_matmul_precision(precision):
            compiled = gradient.lower(embeddings, embeddings, scalar, scalar, matches).compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return None
    memory = compiled.memory_analysis()
    assert memory is not None, "the compiler for TPUs tells"
    return memory.temp_size_in_bytes / 2**20


def table(rows: dict[tuple[str, str, str], list[float | None]], sizes: list[tuple[str, int]]) -> str:
    """The measurements as Markdown: a line for each loss, form and precision, a column for each size."""
    lines = [f"| loss | form | precision |{''.join(f' {size:,} on {topology} |' for topology, size in sizes)}"]
    lines.append("| --- | --- | --- |" + " ---: |" * len(sizes))
    for names, values in rows.items():
        cells = ["does not fit" if value is None else f"{value:,.1f}" for value in values]
        lines.append(f"| {' | '.join([*names, *cells])} |")
    return "\n".join([*lines, "", f"jax {jax.__version__}, TPU compiler of {_compiler_date()}."]) + "\n"


def _compiler_date() -> str:
    (device, *_) = topology_devices(SIZES[0][0])
    found = re.search(r"Built on (\w+ \d+ \d+)", device.client.platform_version)
    return "an unknown date" if found is None else found[1]


def main() -> None:
    """Prints the table, or writes it."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.contrastive_memory",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--loss", nargs="+", choices=get_args(Kind), default=["infonce", "sigmoid"])
    parser.add_argument("--form", nargs="+", choices=get_args(Implementation), default=list(get_args(Implementation)))
    parser.add_argument("--precision", nargs="+", choices=get_args(Precision), default=list(get_args(Precision)))
    parser.add_argument("--size", nargs=2, action="append", metavar=("TOPOLOGY", "BATCH"), help="default: all three")
    parser.add_argument(
        "--json", action="store_true", help="print a list of [loss, form, precision, [MiB or null for each size]]"
    )
    parser.add_argument("--write", action="store_true", help=f"write the table into {PAGE.parent.name}/{PAGE.name}")
    options = parser.parse_args()
    prepare_environment()
    jax.config.update("jax_platforms", "cpu")  # JAX, imported above, has read the environment
    sizes = [(topology, int(size)) for topology, size in options.size or SIZES]
    try:  # before anything that takes minutes
        for topology, _ in sizes:
            topology_devices(topology)
        if options.write:
            check_place(PAGE, *PLACE)
    except (FileNotFoundError, ModuleNotFoundError, ValueError) as error:
        parser.error(str(error))
    rows = {}
    for kind in options.loss:
        for form in options.form:
            for precision in options.precision:
                print(f"compiling {kind}, {form}, {precision} …", file=sys.stderr, flush=True)
                rows[kind, form, precision] = [temporaries(kind, form, precision, *size) for size in sizes]
    text = table(rows, sizes)
    print(json.dumps([[*name, values] for name, values in rows.items()]) if options.json else text)
    if options.write:
        write_between(PAGE, *PLACE, text)


if __name__ == "__main__":
    main()
