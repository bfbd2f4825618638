from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from train.compilation.collectives import Traffic, collectives
from train.compilation.hlo import parse_program

ASYNCHRONOUS = """HloModule jit_f

%async_computation (param_0: f32[16,128]) -> f32[2,128] {
  %param_0 = f32[16,128]{1,0} parameter(0)
  ROOT %reduce-scatter.1 = f32[2,128]{1,0} reduce-scatter(%param_0), channel_id=5, dimensions={0}, to_apply=%add
}

%all-gather-fusion (param_0.2: bf16[4,128]) -> bf16[32,128] {
  %param_0.2 = bf16[4,128]{1,0} parameter(0)
  ROOT %all-gather.2 = bf16[32,128]{1,0} all-gather(%param_0.2), channel_id=6, dimensions={0}
}

ENTRY %main (a: f32[16,128], b: bf16[4,128]) -> f32[] {
  %a = f32[16,128]{1,0} parameter(0)
  %b = bf16[4,128]{1,0} parameter(1)
  %collective-permute-start = (f32[16,128]{1,0}, f32[16,128]{1,0}, u32[]{:S(2)}, u32[]{:S(2)}) collective-permute-start(%a), channel_id=1
  %collective-permute-done = f32[16,128]{1,0} collective-permute-done(%collective-permute-start)
  %all-gather-start = ((bf16[4,128]{1,0}), (bf16[32,128]{1,0})) all-gather-start(%b), channel_id=2, dimensions={0}
  %all-gather-done = bf16[32,128]{1,0} all-gather-done(%all-gather-start)
  %all-reduce-start = (f32[16,128]{1,0}, bf16[4,128]{1,0}) all-reduce-start(%a, %b), channel_id=3, to_apply=%add
  %all-reduce-done = (f32[16,128]{1,0}, bf16[4,128]{1,0}) all-reduce-done(%all-reduce-start)
  %async-start = ((f32[16,128]{1,0}), f32[2,128]{1,0}, u32[]) async-start(%a), calls=%async_computation
  %async-done = f32[2,128]{1,0} async-done(%async-start)
  %fusion.1 = bf16[32,128]{1,0} fusion(%b), kind=kCustom, calls=%all-gather-fusion
  ROOT %zero = f32[] constant(0)
}
"""  # noqa: E501


def test_asynchronous_forms_count_once_and_without_their_handles() -> None:
    whole = 16 * 128 * 4
    assert collectives(parse_program(ASYNCHRONOUS)) == {
        "collective-permute": Traffic(1, whole, whole),
        "all-gather": Traffic(2, 2 * 32 * 128 * 2, 32 * 128 * 2),
        "all-reduce": Traffic(1, whole + 4 * 128 * 2, whole + 4 * 128 * 2),
        "reduce-scatter": Traffic(1, whole, whole),
    }


def test_every_hop_of_a_ring_counts() -> None:
    mesh = Mesh(np.array(jax.devices()), ("data",))
    rows = NamedSharding(mesh, PartitionSpec("data"))

    @partial(jax.shard_map, mesh=mesh, in_specs=PartitionSpec("data"), out_specs=PartitionSpec("data"))
    def ring(x: jax.Array) -> jax.Array:
        def hop(carried: tuple[jax.Array, jax.Array], _: None) -> tuple[tuple[jax.Array, jax.Array], None]:
            travelling, total = carried
            travelling = jax.lax.ppermute(travelling, "data", [(i, (i + 1) % 8) for i in range(8)])
            return (travelling, jnp.sin(total + travelling)), None

        return jax.lax.scan(hop, (x, x), length=7)[0][1]

    shape = jax.ShapeDtypeStruct((8 * 16, 32), jnp.float32, sharding=rows)
    found = collectives(parse_program(jax.jit(ring).lower(shape).compile().as_text()))
    assert found == {"collective-permute": Traffic(7, 7 * 16 * 32 * 4, 16 * 32 * 4)}


def test_what_the_compiler_gathers_counts_at_its_full_size() -> None:
    mesh = Mesh(np.array(jax.devices()), ("data",))
    rows, everywhere = NamedSharding(mesh, PartitionSpec("data")), NamedSharding(mesh, PartitionSpec())
    shape = jax.ShapeDtypeStruct((64, 32), jnp.float32, sharding=rows)
    gather = jax.jit(lambda x: (x, x.sum()), out_shardings=(everywhere, everywhere))
    found = collectives(parse_program(gather.lower(shape).compile().as_text()))
    assert found == {"all-gather": Traffic(1, 64 * 32 * 4, 64 * 32 * 4), "all-reduce": Traffic(1, 4, 4)}


def test_alone_nothing_is_sent() -> None:
    shape = jax.ShapeDtypeStruct((64, 32), jnp.float32)
    assert collectives(parse_program(jax.jit(lambda x: x @ x.T).lower(shape).compile().as_text())) == {}
