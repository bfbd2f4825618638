import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from reference import reference_pipeline, write_random_checkpoint
from safetensors.numpy import load_file, save_file

from chronos_jax.chronos2.config import Chronos2Config
from chronos_jax.chronos2.random_weights import random_tensors
from convert.__main__ import main

CONFIG = Chronos2Config(d_model=16, d_kv=4, d_ff=24, num_layers=2, num_heads=3, max_output_patches=4)


@pytest.fixture
def published(tmp_path: Path) -> Path:
    return write_random_checkpoint(tmp_path / "published", CONFIG)


def tensors_in(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "model.safetensors")


def as_dtype(folder: Path, dtype: Any) -> None:
    save_file({name: x.astype(dtype) for name, x in tensors_in(folder).items()}, folder / "model.safetensors")


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_safetensors_to_orbax_to_safetensors_is_bit_identical(tmp_path: Path, published: Path, dtype: Any):
    as_dtype(published, dtype)
    before = tensors_in(published)
    assert main(["to-orbax", str(published), str(tmp_path / "orbax")]) == 0
    assert main(["to-safetensors", str(tmp_path / "orbax"), str(tmp_path / "again")]) == 0
    after = tensors_in(tmp_path / "again")
    assert after.keys() == before.keys()
    for name, tensor in before.items():
        assert (after[name].dtype, after[name].shape) == (tensor.dtype, tensor.shape)
        assert after[name].tobytes() == tensor.tobytes(), name


@pytest.mark.parametrize("source_dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("command", ["to-safetensors", "to-orbax"])
def test_every_dtype_becomes_float32_or_bfloat16(
    tmp_path: Path, published: Path, command: str, source_dtype: Any, dtype: str
):
    as_dtype(published, source_dtype)
    before = tensors_in(published)
    assert main([command, str(published), str(tmp_path / "made"), "--dtype", dtype]) == 0
    if command == "to-orbax":
        assert main(["to-safetensors", str(tmp_path / "made"), str(tmp_path / "read")]) == 0
    folder = tmp_path / ("read" if command == "to-orbax" else "made")
    for name, tensor in tensors_in(folder).items():
        assert tensor.dtype == dtype
        np.testing.assert_array_equal(tensor, before[name].astype(np.float32).astype(tensor.dtype))
    assert json.loads((tmp_path / "made/config.json").read_text())["torch_dtype"] == dtype


def test_without_a_dtype_float16_becomes_float32_and_bfloat16_stays(tmp_path: Path, published: Path):
    for source_dtype, expected in [(np.float16, np.float32), (ml_dtypes.bfloat16, ml_dtypes.bfloat16)]:
        as_dtype(published, source_dtype)
        assert main(["to-safetensors", str(published), str(tmp_path / "made"), "--overwrite"]) == 0
        assert {x.dtype for x in tensors_in(tmp_path / "made").values()} == {np.dtype(expected)}


def test_shards_become_one_file(tmp_path: Path, published: Path):
    tensors = tensors_in(published)
    (published / "model.safetensors").unlink()
    names = list(tensors)
    weight_map = {}
    for shard, held in {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}.items():
        save_file({name: tensors[name] for name in held}, published / shard)
        weight_map |= dict.fromkeys(held, shard)
    (published / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert main(["to-safetensors", str(published), str(tmp_path / "one")]) == 0
    assert {k: v.tobytes() for k, v in tensors_in(tmp_path / "one").items()} == {
        k: v.tobytes() for k, v in tensors.items()
    }


@pytest.mark.parametrize("source", ["random weights", "reference checkpoint"])
def test_the_reference_loads_the_round_trip_and_gives_its_own_numbers(
    tmp_path: Path, published: Path, source: str, request: pytest.FixtureRequest
):
    original = published if source == "random weights" else request.getfixturevalue("reference_checkpoint")
    assert main(["to-orbax", str(original), str(tmp_path / "orbax")]) == 0
    assert main(["to-safetensors", str(tmp_path / "orbax"), str(tmp_path / "again")]) == 0
    series = [np.sin(np.arange(50, dtype=np.float32))[None, :], np.ones((2, 20), np.float32).cumsum(1)]
    (before, _), (after, _) = (reference_pipeline(folder).embed(series) for folder in (original, tmp_path / "again"))
    for ours, theirs in zip(after, before, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_an_adapter_is_merged_into_the_base_that_is_given(
    tmp_path: Path, reference_lora: Path, reference_checkpoint: Path
):
    arguments = [str(reference_lora), str(tmp_path / "merged"), "--base", str(reference_checkpoint)]
    assert main(["to-safetensors", *arguments]) == 0
    base, merged = tensors_in(reference_checkpoint), tensors_in(tmp_path / "merged")
    changed = {name for name in base if not np.array_equal(base[name], merged[name])}
    assert changed == {name for name in base if ".self_attention." in name} | {
        "output_patch_embedding.output_layer.weight"
    }


def set_config(changes: dict[str, Any]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        forecasting = config["chronos_config"] | {k: v for k, v in changes.items() if k in config["chronos_config"]}
        (folder / "config.json").write_text(json.dumps(config | changes | {"chronos_config": forecasting}))

    return change


def truncate(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])


def index_of(shard: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        weight_map = dict.fromkeys(random_tensors(CONFIG), shard)
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))

    return change


BAD_INPUT: dict[str, tuple[Callable[[Path], None], str]] = {
    "another width": (set_config({"d_ff": 32}), "mlp.wi.weight has shape (24, 16), expected (32, 16)"),
    "another depth": (set_config({"num_layers": 3}), "missing: encoder.block.2.layer.0"),
    "fewer layers": (set_config({"num_layers": 1}), "unknown: encoder.block.1.layer.0"),
    "gated activation": (set_config({"feed_forward_proj": "gated-gelu"}), "gated activations are not supported"),
    "stride": (set_config({"input_patch_stride": 8}), "overlapping patches are not supported"),
    "output patch": (set_config({"output_patch_size": 32}), "input and output patches must have one size"),
    "another family": (
        set_config({"architectures": ["ChronosBoltModelForForecasting"]}),
        "only Chronos-2 is supported",
    ),
    "truncated file": (truncate, "model.safetensors is truncated or corrupt"),
    "absent shard": (index_of("model-1.safetensors"), "model-1.safetensors is absent"),
    "outside path": (index_of("../model.safetensors"), "expected names of safetensors files that lie beside it"),
    "no configuration": (lambda folder: (folder / "config.json").unlink(), "has no config.json"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "holds neither model.safetensors nor"),
}


@pytest.mark.parametrize("command", ["to-orbax", "to-safetensors"])
@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_said_and_leaves_nothing(
    tmp_path: Path, published: Path, command: str, case: str, capsys: pytest.CaptureFixture[str]
):
    damage, complaint = BAD_INPUT[case]
    damage(published)
    assert main([command, str(published), str(tmp_path / "made")]) == 1
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert complaint in message
    assert entries(tmp_path) == ["published"]


def test_what_exists_is_kept_unless_it_may_be_overwritten(
    tmp_path: Path, published: Path, capsys: pytest.CaptureFixture[str]
):
    made = tmp_path / "made"
    assert main(["to-orbax", str(published), str(made)]) == 0
    assert main(["to-safetensors", "no/such/source", str(made)]) == 1
    assert "exists and is not empty" in capsys.readouterr().err, "said before the source is looked for"
    assert entries(made) == ["config.json", "params"]
    assert main(["to-safetensors", str(published), str(made), "--overwrite"]) == 0
    assert entries(made) == ["config.json", "model.safetensors"]
    assert entries(tmp_path) == ["made", "published"]


@pytest.mark.parametrize("command", ["to-orbax", "to-safetensors"])
def test_a_full_disk_is_said_in_one_line_and_leaves_nothing(tmp_path: Path, published: Path, command: str):
    """A limit on the size of files stands for the disk: the same call fails, with another reason."""
    script = (
        "import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)); "
        "runpy.run_module('convert', run_name='__main__', alter_sys=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, command, str(published), str(tmp_path / "made")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: cannot write {tmp_path / 'made'}: ")
    assert "File too large" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert entries(tmp_path) == ["published"]
