"""A made-up model of five tensors: checkpoints know no family."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from chronos_jax.checkpoints.weights import Weight, published_shapes


@pytest.fixture
def table() -> list[Weight]:
    return [
        Weight("embed.weight", ("embed", "table"), (3, 4), (None, "embed")),
        Weight("block.{layer}.lin.weight", ("blocks", "lin", "kernel"), (6, 4), ("layers", "embed", "mlp"), True, 2),
        Weight("block.{layer}.norm.weight", ("blocks", "norm", "scale"), (4,), ("layers", "embed"), layers=2),
    ]


@pytest.fixture
def tensors(table: list[Weight]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal(shape, dtype=np.float32) for name, shape in published_shapes(table)}


@pytest.fixture
def checkpoint(tmp_path: Path, tensors: dict[str, np.ndarray]) -> Path:
    """One file."""
    folder = tmp_path / "single"
    folder.mkdir()
    (folder / "config.json").write_text('{"size": 4}')
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.fixture
def sharded(tmp_path: Path, tensors: dict[str, np.ndarray]) -> Path:
    """The same tensors in two shards and an index."""
    folder = tmp_path / "sharded"
    folder.mkdir()
    (folder / "config.json").write_text('{"size": 4}')
    names = list(tensors)
    shards = {"model-00001-of-00002.safetensors": names[:2], "model-00002-of-00002.safetensors": names[2:]}
    for shard, held in shards.items():
        save_file({name: tensors[name] for name in held}, folder / shard, {"format": "pt"})
    weight_map = {name: shard for shard, held in shards.items() for name in held}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return folder
