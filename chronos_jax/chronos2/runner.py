"""Runs a jitted function over tasks of any shape: in batches, on the devices of a mesh, with progress."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
from flax import nnx
from jax.sharding import Mesh, NamedSharding
from jaxtyping import DTypeLike

from chronos_jax.checkpoints.saving import common_dtype
from chronos_jax.checkpoints.weights import nest
from chronos_jax.chronos2.batching import Batch, batches
from chronos_jax.chronos2.config import Chronos2Config
from chronos_jax.chronos2.modeling import Chronos2Model
from chronos_jax.chronos2.params import weight_table
from chronos_jax.chronos2.tasks import Task
from chronos_jax.layers.patching import num_patches
from chronos_jax.layers.stacking import unstack_blocks
from chronos_jax.layers.tpu_attention import TpuAttention
from chronos_jax.sharding import batch_shards, named_sharding

TOKENS_AT_ONCE = {"cpu": 1024, "gpu": 16384, "tpu": 8192}
"""Positions beyond which a batch falls out of the cache of a CPU, or out of the memory beside the core of a TPU.

Of a GPU it is a guess: products that fill it, a stream of the size of its cache. None has been at hand to measure.
On a CPU, 256 series of 512 steps took 3 times as long in one batch as in eight. On a TPU v5e, 1,024 windows of 30
positions at once move 18 times the bytes of main memory that they move in four batches (docs/performance.md); so it is
in bfloat16, and was not tried for other TPUs or float32.
"""

BATCHES_IN_FLIGHT = 2
"""The device computes one batch while the host prepares and reads the others."""


class Structure:
    """A GraphDef as static argument of a jitted function: flax hashes it anew, in Python, with every call."""

    def __init__(self, graphdef: nnx.GraphDef) -> None:
        self.graphdef = graphdef
        self._hash = hash(graphdef)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Structure) and self.graphdef == other.graphdef)

    def model(self, arrays: dict[str, Any]) -> Chronos2Model:
        """The model with these parameters."""
        return nnx.merge(self.graphdef, arrays)


class Runner:
    """A model on its devices.

    Attributes:
        config: The model's configuration.
        mesh: Devices over which batches are spread; JAX's default device if None.
        params: Parameters on the devices, as a nested dictionary in the layout of the weight table.
        structure: Of the model as it is run.
        arrays: Its parameters, a nested dictionary: the same arrays, or views of them.
        one_cpu: Whether a single CPU device computes.
    """

    def __init__(self, config: Chronos2Config, params: dict[str, Any], mesh: Mesh | None) -> None:
        """Puts parameters on the devices. Raises CheckpointError for those of another configuration, listing all."""
        table = weight_table(config)
        dtype = common_dtype(params, table)
        self.config = config
        self.mesh = mesh
        self._shards = batch_shards(mesh) if mesh else 1
        shardings = nest((weight, named_sharding(mesh, weight.axes)) for weight in table) if mesh else None
        self.params = jax.device_put(params, shardings)
        devices = jax.tree.leaves(self.params)[0].devices()  # also where the caller has put them himself
        device = next(iter(devices))
        self._platform = device.platform
        self.one_cpu = self._platform == "cpu" and len(devices) == 1
        model = with_params(abstract_model(config, dtype, mesh, device), self.params)
        if self.one_cpu:
            model.encoder.blocks = unstack_blocks(model.encoder.blocks, config.num_layers)
        graphdef, state = nnx.split(model)
        self.structure = Structure(graphdef)
        self.arrays = nnx.to_pure_dict(state)

    @property
    def tokens_at_once(self) -> int:
        """The most positions that the devices compute well side by side."""
        return tokens_at_once(self._platform, self._shards)

    def sharding(self, batch: Batch) -> NamedSharding | None:
        """How the arrays of a batch lie on the mesh: split by group, or, where a group fills all of it, by variate."""
        if self.mesh is None:
            return None
        by_group = batch.context_GxVxT.shape[0] % self._shards == 0
        return named_sharding(self.mesh, ("batch",) if by_group else (None, "batch"))

    def run(
        self,
        function: Callable[[Batch], Any],
        tasks: Sequence[Task],
        groups: Sequence[Sequence[int]],
        batch_size: int | None,
        appended_patches: int,
        show_progress: bool | None,
    ) -> Iterator[tuple[Batch, Any]]:
        """Applies a function to every batch; yields NumPy results, a few batches behind what is computed.

        Args:
            function: From a batch to arrays that may still be computed.
            tasks: Histories already cut to the context length.
            groups: Tasks that see each other, by index.
            batch_size: The most series in a batch; None: as many as the devices compute well.
            appended_patches: Positions that the function adds to each variate.
            show_progress: Whether a progress bar is shown; by default on a terminal, where there are several batches.
        """
        from chronos_jax.progress import progress_bar

        planned = batches(
            tasks,
            groups,
            self.config.patch_size,
            batch_size,
            max_patches=num_patches(self.config.context_length, self.config.patch_size),
            appended_patches=appended_patches,
            tokens_per_batch=self.tokens_at_once,
            shards=self._shards,
        )
        pending: list[tuple[Batch, Any]] = []
        bar = progress_bar(show=show_progress)
        line = bar.add_task("series", total=len(tasks), visible=show_progress or False)

        def finish() -> tuple[Batch, Any]:
            batch, result = pending.pop(0)
            done = batch, jax.device_get(result)
            # What one batch holds is done before anybody could read a bar.
            bar.update(line, advance=len(batch.places), visible=bool(show_progress) or len(batch.places) < len(tasks))
            return done

        with bar:
            for batch in planned:
                pending.append((batch, function(batch)))
                if len(pending) >= BATCHES_IN_FLIGHT:
                    yield finish()
            while pending:
                yield finish()


def abstract_model(
    config: Chronos2Config, dtype: DTypeLike, mesh: Mesh | None = None, device: jax.Device | None = None
) -> Chronos2Model:
    """The model without parameters; for a TPU with the attention that is made for it."""
    kernel = TpuAttention(device.device_kind, mesh) if device is not None and device.platform == "tpu" else None
    return nnx.eval_shape(lambda: Chronos2Model(config, dtype=dtype, rngs=nnx.Rngs(0), kernel=kernel))


def tokens_at_once(platform: str, shards: int) -> int:
    """The most positions that so many devices compute well side by side."""
    return TOKENS_AT_ONCE.get(platform, TOKENS_AT_ONCE["gpu"]) * shards


def with_params(model: Chronos2Model, params: dict[str, Any]) -> Chronos2Model:
    """The model with these parameters in place of its own."""
    graphdef, state = nnx.split(model)
    nnx.replace_by_pure_dict(state, params)
    return nnx.merge(graphdef, state)
