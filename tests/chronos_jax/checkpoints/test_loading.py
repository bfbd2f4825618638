import json
from pathlib import Path

import jax
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from chronos_jax.checkpoints.errors import CheckpointError
from chronos_jax.checkpoints.loading import load_params, open_params, stored
from chronos_jax.checkpoints.safetensors_files import INDEX, SINGLE
from chronos_jax.checkpoints.sources import resolve
from chronos_jax.checkpoints.weights import Weight

Tensors = dict[str, np.ndarray]
SHARD_1, SHARD_2 = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def complaints(folder: Path, table: list[Weight]) -> list[str]:
    """The lines of the one error that loading a folder raises."""
    with pytest.raises(CheckpointError) as caught:
        load_params(resolve(folder), table)
    return [line.removeprefix("  - ") for line in str(caught.value).splitlines()[1:]]


def test_arrays_are_stacked_and_transposed_as_the_table_says(checkpoint: Path, table: list[Weight], tensors: Tensors):
    params = load_params(resolve(checkpoint), table)
    np.testing.assert_array_equal(params["embed"]["table"], tensors["embed.weight"])
    for layer in range(2):
        np.testing.assert_array_equal(params["blocks"]["lin"]["kernel"][layer], tensors[f"block.{layer}.lin.weight"].T)
        np.testing.assert_array_equal(params["blocks"]["norm"]["scale"][layer], tensors[f"block.{layer}.norm.weight"])
    assert set(params) == {"embed", "blocks"}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", [(1, 5), (16, 16), (33, 70), (100, 31)])
def test_matrices_of_any_size_are_transposed(tmp_path: Path, shape: tuple[int, int], dtype):
    tensor = np.random.default_rng(0).standard_normal(shape).astype(ml_dtypes.bfloat16).astype(np.float32)
    save_file({"lin.weight": tensor, "lin.bias": tensor[0]}, tmp_path / SINGLE)
    table = [
        Weight("lin.weight", ("kernel",), shape, (None, None), transpose=True),
        Weight("lin.bias", ("bias",), shape[1:], (None,)),
    ]
    params = load_params(resolve(tmp_path), table, dtype)
    np.testing.assert_array_equal(params["kernel"].astype(np.float32), tensor.T)
    np.testing.assert_array_equal(params["bias"].astype(np.float32), tensor[0])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_cpu_takes_the_arrays_over_without_a_copy(checkpoint: Path, table: list[Weight], dtype):
    params = load_params(resolve(checkpoint), table, dtype)
    on_device = jax.device_put(params, jax.devices("cpu")[0])
    for array, taken in zip(jax.tree.leaves(params), jax.tree.leaves(on_device), strict=True):
        assert taken.unsafe_buffer_pointer() == array.ctypes.data


def test_shards_load_as_one_file_does(checkpoint: Path, sharded: Path, table: list[Weight]):
    single, shards = (load_params(resolve(folder), table) for folder in (checkpoint, sharded))
    np.testing.assert_array_equal(single["blocks"]["lin"]["kernel"], shards["blocks"]["lin"]["kernel"])
    np.testing.assert_array_equal(single["embed"]["table"], shards["embed"]["table"])


@pytest.mark.parametrize("source_dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_every_dtype_widens_exactly(checkpoint: Path, table: list[Weight], tensors: Tensors, source_dtype: type):
    narrow = {name: x.astype(source_dtype) for name, x in tensors.items()}
    save_file(narrow, checkpoint / SINGLE)
    loaded = load_params(resolve(checkpoint), table)["embed"]["table"]
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded, narrow["embed.weight"].astype(np.float32))


@pytest.mark.parametrize("source_dtype", [np.float32, np.float16])
def test_bfloat16_rounds_to_nearest_ties_to_even(checkpoint: Path, table: list[Weight], tensors: Tensors, source_dtype):
    ulp = 2.0**-7  # of bfloat16 just above 1
    ties_and_not = np.array([1 + ulp / 2, 1 + 3 * ulp / 2, 1 + ulp / 2 + ulp / 8, 1 + ulp / 2 - ulp / 8])
    rounded = np.array([1, 1 + 2 * ulp, 1 + ulp, 1])
    tensors["embed.weight"][0] = ties_and_not
    save_file({name: x.astype(source_dtype) for name, x in tensors.items()}, checkpoint / SINGLE)
    loaded = load_params(resolve(checkpoint), table, "bfloat16")["embed"]["table"]
    assert loaded.dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(loaded[0].astype(np.float64), rounded)


def test_one_error_lists_everything(checkpoint: Path, table: list[Weight], tensors: Tensors):
    del tensors["embed.weight"]
    tensors["block.0.lin.weight"] = tensors["block.0.lin.weight"].T.copy()
    tensors["block.1.lin.weight"] = tensors["block.1.lin.weight"].astype(np.float64)
    tensors["block.2.lin.weight"] = np.zeros((6, 4), np.float32)
    save_file(tensors, checkpoint / SINGLE)
    assert sorted(complaints(checkpoint, table)) == [
        "block.0.lin.weight has shape (4, 6), expected (6, 4)",
        "block.1.lin.weight is stored as F64, expected one of F32, BF16, F16",
        "missing: embed.weight, expected with shape (3, 4)",
        "unknown: block.2.lin.weight of shape (6, 4)",
    ]


def test_tensors_that_are_not_used_may_be_there_and_be_anything(
    checkpoint: Path, table: list[Weight], tensors: Tensors
):
    tensors |= {"embed.position_ids": np.arange(3), "other.a": np.zeros(2, np.float64), "other.b": np.zeros(2)}
    save_file(tensors, checkpoint / SINGLE)
    loaded = load_params(resolve(checkpoint), table, unused=("embed.position_ids", "other.*", "absent"))
    assert set(loaded) == {"embed", "blocks"}
    with pytest.raises(CheckpointError) as caught:
        load_params(resolve(checkpoint), table, unused=("other.*", "absent"))
    assert [line.removeprefix("  - ") for line in str(caught.value).splitlines()[1:]] == [
        "unknown: embed.position_ids of shape (3,)",
        "embed.position_ids is stored as I64, expected one of F32, BF16, F16",
    ]


def test_a_tensor_in_two_shards_is_refused(sharded: Path, table: list[Weight], tensors: Tensors):
    second = {name: tensors[name] for name in (*list(tensors)[2:], "embed.weight")}
    save_file(second, sharded / SHARD_2)
    assert complaints(sharded, table) == [f"embed.weight is both in {SHARD_1} and in {SHARD_2}"]


def test_an_absent_shard_is_named_with_what_is_missing(sharded: Path, table: list[Weight]):
    (sharded / SHARD_1).unlink()
    assert f"{SHARD_1} is absent" in complaints(sharded, table)


def test_an_index_that_puts_a_tensor_into_the_wrong_shard_is_refused(sharded: Path, table: list[Weight]):
    index = json.loads((sharded / INDEX).read_text())
    index["weight_map"]["embed.weight"] = SHARD_2
    (sharded / INDEX).write_text(json.dumps(index))
    assert complaints(sharded, table) == [f"embed.weight is not in {SHARD_2}, where the index has it, but in {SHARD_1}"]


def test_an_index_that_leaves_a_tensor_out_is_refused(sharded: Path, table: list[Weight]):
    index = json.loads((sharded / INDEX).read_text())
    del index["weight_map"]["embed.weight"]
    (sharded / INDEX).write_text(json.dumps(index))
    assert complaints(sharded, table) == [f"embed.weight is in {SHARD_1}, but not in the index"]


@pytest.mark.parametrize("damage", ["truncated", "garbage", "empty", "trailing"])
def test_a_damaged_file_is_named(checkpoint: Path, table: list[Weight], damage: str):
    file = checkpoint / SINGLE
    content = file.read_bytes()
    damaged = {"truncated": content[:-4], "garbage": b"\x93" * 400, "empty": b"", "trailing": content + b"1234"}
    file.write_bytes(damaged[damage])
    assert any(line.startswith(f"{SINGLE} is truncated or corrupt: ") for line in complaints(checkpoint, table))


def test_a_file_that_shrinks_after_the_check_is_named(checkpoint: Path, table: list[Weight]):
    read = open_params(resolve(checkpoint), table)
    (checkpoint / SINGLE).write_bytes((checkpoint / SINGLE).read_bytes()[:-40])
    with pytest.raises(CheckpointError, match=r"cannot read .* from .*model\.safetensors"):
        [read(weight) for weight in table]


def test_what_is_on_disk_is_known_without_reading_it(sharded: Path, tensors: Tensors):
    found = stored(resolve(sharded))
    assert {name: tensor.shape for name, tensor in found.items()} == {name: x.shape for name, x in tensors.items()}
    assert {tensor.dtype for tensor in found.values()} == {"float32"}
