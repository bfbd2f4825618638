"""The command `inspect`: what a checkpoint holds, from its headers alone."""

import json
import math
from collections import Counter
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from chronos_jax.checkpoints.loading import open_params, stored
from chronos_jax.checkpoints.sources import Source, load_config
from chronos_jax.checkpoints.weights import is_unused
from chronos_jax.families import family_of
from convert.location import Location
from convert.text_files import describe_text_files


def inspect(
    options: Annotated[Location, tyro.conf.arg(name="")],
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> None:
    """Say what a checkpoint holds, and check that its tensors fit its configuration; no tensor is read.

    Args:
        options: Where the checkpoint is.
        as_json: Print one JSON object instead of a table.
    """
    source = options.resolve()
    summary = summarise(source)
    if as_json:
        print(json.dumps(summary, indent=2))
    else:
        _print_table(summary)


def summarise(source: Source) -> dict[str, Any]:
    """Family, kind, place, numbers of tensors and parameters, dtypes, bytes on disk, shards, configuration.

    Numbers and dtypes are of the model's tensors; what else is stored, such as the vision half of a CLIP, is
    "unused", counted by pattern of its name.
    For a text encoder, "text" says what tokenizer and pooling are.

    Raises:
        CheckpointError: the files are damaged or do not fit their configuration, or a text encoder has no tokenizer.
        UnsupportedConfigError: no family can run this configuration.
    """
    config, held = load_config(source), stored(source)
    family = family_of(config, held)
    open_params(source, family.table, unused=family.unused)  # checks without reading
    tensors = {name: tensor for name, tensor in held.items() if not is_unused(name, family.unused)}
    folders = [source.folder] if source.base is None else [source.folder, source.base.folder]
    return {
        "family": family.name,
        "kind": source.kind,
        "folder": str(source.folder),
        "base": str(source.base.folder) if source.base else None,
        "tensors": len(tensors),
        "unused": {
            pattern: count for pattern in family.unused if (count := sum(is_unused(name, (pattern,)) for name in held))
        },
        "parameters": sum(math.prod(tensor.shape) for tensor in tensors.values()),
        "dtypes": dict(sorted(Counter(tensor.dtype for tensor in tensors.values()).items())),
        "bytes_on_disk": sum(p.stat().st_size for folder in folders for p in folder.rglob("*") if p.is_file()),
        "shards": [file.name for file in (source.base or source).files],
        "text": describe_text_files(source, family),
        "config": config,
    }


def _print_table(summary: dict[str, Any]) -> None:
    table = Table(show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    table.add_row("family", summary["family"])
    table.add_row("kind", summary["kind"])
    table.add_row("folder", summary["folder"])
    if summary["base"]:
        table.add_row("base", summary["base"])
    table.add_row("tensors", f"{summary['tensors']:,}")
    if summary["unused"]:
        table.add_row("not used", ", ".join(f"{pattern} ({count})" for pattern, count in summary["unused"].items()))
    table.add_row("parameters", f"{summary['parameters']:,}")
    table.add_row("dtypes", ", ".join(f"{dtype} ({count})" for dtype, count in summary["dtypes"].items()))
    table.add_row("on disk", f"{summary['bytes_on_disk'] / 1e6:,.1f} MB")
    if summary["shards"]:
        table.add_row("files", ", ".join(summary["shards"]))
    for key, value in (summary["text"] or {}).items():
        table.add_row(key, f"{value:,}" if type(value) is int else str(value))
    table.add_section()
    for key, value in _flat(summary["config"]):
        table.add_row(key, value)
    Console().print(table)


def _flat(config: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows = []
    for key, value in sorted(config.items()):
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{key}.")
        else:
            rows.append((prefix + key, json.dumps(value)))
    return rows
