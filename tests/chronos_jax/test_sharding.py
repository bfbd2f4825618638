import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec

from chronos_jax.sharding import batch_shards, make_mesh, named_sharding, partition_spec


def test_all_devices_lie_on_the_data_axis_by_default() -> None:
    assert dict(make_mesh().shape) == {"data": 8, "fsdp": 1, "tensor": 1}


def test_minus_one_takes_what_the_other_axes_leave() -> None:
    assert dict(make_mesh({"data": -1, "fsdp": 2, "tensor": 2}).shape) == {"data": 2, "fsdp": 2, "tensor": 2}
    assert dict(make_mesh({"data": 1, "fsdp": -1}).shape) == {"data": 1, "fsdp": 8, "tensor": 1}


def test_a_mesh_can_cover_some_devices_only() -> None:
    assert make_mesh({"data": -1}, devices=jax.devices()[:3]).size == 3


@pytest.mark.parametrize(
    ("shape", "complaint"),
    [
        ({"data": 3}, "does not fit 8 devices"),
        ({"data": -1, "fsdp": 3}, "does not fit 8 devices"),
        ({"data": -1, "fsdp": -1}, "one of them may be -1"),
        ({"data": 0}, "must be positive"),
        ({"model": 8}, r"unknown mesh axes \['model'\]"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(shape: dict[str, int], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make_mesh(shape)


def test_logical_axes_map_through_the_one_table() -> None:
    assert partition_spec(("batch", None)) == PartitionSpec(("data", "fsdp"), None)
    assert partition_spec(("layers", "embed", "mlp")) == PartitionSpec(None, "fsdp", "tensor")


def test_two_axes_of_one_array_never_share_a_mesh_axis() -> None:
    with pytest.raises(ValueError, match=r"'batch' and 'embed' .* both split along mesh axis 'fsdp'"):
        partition_spec(("batch", "embed"))


def test_an_unknown_logical_axis_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown logical axis 'depth'"):
        partition_spec(("depth",))


def test_a_batch_is_split_over_data_and_fsdp() -> None:
    mesh = make_mesh({"data": 2, "fsdp": 2, "tensor": 2})
    batch = jax.device_put(jnp.zeros((8, 3)), named_sharding(mesh, ("batch", None)))
    assert batch_shards(mesh) == 4
    assert {shard.data.shape for shard in batch.addressable_shards} == {(2, 3)}
