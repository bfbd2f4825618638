"""Runs a jitted function over tasks of any shape: in batches, on the devices of a mesh, with progress."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
from flax import nnx
from jax.sharding import Mesh, NamedSharding

from chronos_jax.checkpoints.saving import common_dtype
from chronos_jax.checkpoints.weights import nest
from chronos_jax.chronos2.batching import Batch, batches
from chronos_jax.chronos2.config import Chronos2Config
from chronos_jax.chronos2.modeling import Chronos2Model
from chronos_jax.chronos2.params import weight_table
from chronos_jax.chronos2.tasks import Task
from chronos_jax.layers.patching import num_patches
from chronos_jax.sharding import batch_shards, named_sharding

CPU_TOKENS_PER_BATCH = 1024
"""On a CPU, batches beyond this fall out of cache: 256 series of 512 steps took 3 times as long in one as in eight."""

BATCHES_IN_FLIGHT = 2
"""The device computes one batch while the host prepares and reads the others."""


class Runner:
    """A model on its devices.

    Attributes:
        config: The model's configuration.
        mesh: Devices over which batches are spread; JAX's default device if None.
        graphdef: Structure of the model.
        state: Its parameters.
    """

    def __init__(self, config: Chronos2Config, params: dict[str, Any], mesh: Mesh | None) -> None:
        """Puts parameters on the devices. Raises CheckpointError for those of another configuration, listing all."""
        table = weight_table(config)
        dtype = common_dtype(params, table)
        self.config = config
        self.mesh = mesh
        model = nnx.eval_shape(lambda: Chronos2Model(config, dtype=dtype, rngs=nnx.Rngs(0)))
        self.graphdef, self.state = nnx.split(model)
        shardings = nest((weight, named_sharding(mesh, weight.axes)) for weight in table) if mesh else None
        nnx.replace_by_pure_dict(self.state, jax.device_put(params, shardings))
        devices = mesh.devices.flat if mesh else jax.local_devices()
        self._on_cpu = devices[0].platform == "cpu"
        self._shards = batch_shards(mesh) if mesh else 1

    @property
    def tokens_at_once(self) -> int | None:
        """The most positions that the devices compute well side by side; None where more is always better."""
        return CPU_TOKENS_PER_BATCH * self._shards if self._on_cpu else None

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
        batch_size: int,
        appended_patches: int,
        show_progress: bool | None,
    ) -> Iterator[tuple[Batch, Any]]:
        """Applies a function to every batch; yields NumPy results, a few batches behind what is computed.

        Args:
            function: From a batch to arrays that may still be computed.
            tasks: Histories already cut to the context length.
            groups: Tasks that see each other, by index.
            batch_size: The most series in a batch.
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
