import gc
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from chronos_jax.checkpoints.errors import CheckpointError
from chronos_jax.checkpoints.loading import load_params, stored
from chronos_jax.checkpoints.orbax import load_orbax, save_orbax
from chronos_jax.checkpoints.sources import load_config, resolve
from chronos_jax.checkpoints.weights import Weight, flatten, nest
from chronos_jax.sharding import make_mesh, named_sharding


@pytest.fixture
def saved(tmp_path: Path, checkpoint: Path, table: list[Weight]) -> Path:
    save_orbax(tmp_path / "orbax", load_params(resolve(checkpoint), table), {"size": 4})
    return tmp_path / "orbax"


def abstract(table: list[Weight], dtype: type = jnp.float32) -> dict:
    mesh = make_mesh({"data": 2, "fsdp": 2, "tensor": 2})
    return nest(
        (weight, jax.ShapeDtypeStruct(weight.model_shape, dtype, sharding=named_sharding(mesh, weight.axes)))
        for weight in table
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_checkpoint_comes_back_bit_for_bit(tmp_path: Path, checkpoint: Path, table: list[Weight], dtype: str):
    params = load_params(resolve(checkpoint), table, dtype)
    save_orbax(tmp_path / "orbax", params, {"size": 4})
    source = resolve(tmp_path / "orbax")
    assert source.kind == "orbax"
    assert load_config(source) == {"size": 4}
    restored = dict(flatten(load_params(source, table, dtype)))
    for path, array in flatten(params):
        assert restored[path].dtype == array.dtype
        assert restored[path].tobytes() == array.tobytes(), path


def test_it_may_be_read_in_another_dtype(saved: Path, checkpoint: Path, table: list[Weight]):
    rounded, direct = (load_params(resolve(folder), table, "bfloat16") for folder in (saved, checkpoint))
    np.testing.assert_array_equal(rounded["blocks"]["lin"]["kernel"], direct["blocks"]["lin"]["kernel"])
    assert rounded["embed"]["table"].dtype == ml_dtypes.bfloat16


def test_arrays_on_devices_can_be_saved(tmp_path: Path, table: list[Weight]):
    params = nest((weight, jnp.full(weight.model_shape, 0.5, jnp.bfloat16)) for weight in table)
    save_orbax(tmp_path / "orbax", params, {})
    assert load_params(resolve(tmp_path / "orbax"), table, "bfloat16")["embed"]["table"][0, 0] == 0.5


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_every_device_gets_its_shard(saved: Path, checkpoint: Path, table: list[Weight], dtype: type):
    restored = load_orbax(saved, abstract(table, dtype))
    kernel = restored["blocks"]["lin"]["kernel"]  # (layers 2, embed 4 over fsdp 2, mlp 6 over tensor 2)
    assert {shard.data.shape for shard in kernel.addressable_shards} == {(2, 2, 3)}
    expected = load_params(resolve(checkpoint), table, "bfloat16" if dtype == jnp.bfloat16 else "float32")
    np.testing.assert_array_equal(np.asarray(kernel), expected["blocks"]["lin"]["kernel"])
    assert kernel.dtype == dtype


def test_one_error_lists_every_array_that_does_not_fit(saved: Path, table: list[Weight]):
    wanted = [
        Weight("more", ("more",), (1,), (None,)),
        Weight("embed.weight", ("embed", "table"), (5, 4), (None, "embed")),
        table[1],
    ]
    problems = [
        "missing: more, expected with shape (1,)",
        "embed.table has shape (3, 4), expected (5, 4)",
        "unknown: blocks.norm.scale of shape (2, 4)",
    ]
    for load in (lambda: load_params(resolve(saved), wanted), lambda: load_orbax(saved, abstract(wanted))):
        with pytest.raises(CheckpointError) as caught:
            load()
        assert [line.removeprefix("  - ") for line in str(caught.value).splitlines()[1:]] == problems


def test_arrays_that_are_not_used_may_be_there(saved: Path, table: list[Weight]):
    without = [weight for weight in table if weight.path[-1] != "scale"]
    params = load_params(resolve(saved), without, unused=("blocks.norm.*",))
    assert sorted(path for path, _ in flatten(params)) == sorted(weight.path for weight in without)


# Orbax reads all arrays at once, and when one fails it drops the tasks of the others.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("victim", ["metadata", "data"])
def test_a_damaged_checkpoint_is_named(saved: Path, table: list[Weight], victim: str):
    pattern = {"metadata": "_METADATA", "data": "d/*"}[victim]
    for file in (saved / "params").rglob(pattern):
        file.write_bytes(file.read_bytes()[:10])
    with pytest.raises(CheckpointError, match=str(saved)):
        load_params(resolve(saved), table)
    with pytest.raises(CheckpointError, match=str(saved)):
        load_orbax(saved, abstract(table))
    gc.collect()  # here, where their complaints are expected


def test_an_existing_checkpoint_stays_unless_it_is_to_be_replaced(saved: Path, table: list[Weight]):
    ones = nest((weight, np.ones(weight.model_shape, np.float32)) for weight in table)
    with pytest.raises(CheckpointError, match="exists and is not empty"):
        save_orbax(saved, ones, {})
    assert load_config(resolve(saved)) == {"size": 4}
    save_orbax(saved, ones, {"size": 5}, overwrite=True)
    assert load_config(resolve(saved)) == {"size": 5}
    assert (load_params(resolve(saved), table)["embed"]["table"] == 1).all()


def test_what_is_on_disk_is_known_without_reading_it(saved: Path, table: list[Weight]):
    assert stored(resolve(saved)) == {".".join(weight.path): ("float32", weight.model_shape) for weight in table}
