"""What the pipeline would compute of a call: its batches, without computing them."""

import inspect
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from unittest import mock

import jax
import numpy as np
from flax import nnx

from chronos_jax import Chronos2Config, Chronos2Pipeline
from chronos_jax.chronos2.batching import Batch
from chronos_jax.chronos2.runner import Runner, Structure, abstract_model, tokens_at_once
from chronos_jax.chronos2.tasks import Task
from chronos_jax.layers.patching import num_patches
from chronos_jax.layers.stacking import unstack_blocks

ARRAYS = ("context_GxVxT", "variate_mask_GxV", "target_mask_GxV", "future_GxVxH")


@dataclass(frozen=True)
class Plan:
    """A call taken apart.

    Attributes:
        runner: Of a pipeline with tiny weights that goes by the configuration of another.
        function: From a batch to what is computed of it.
        tasks: All inputs.
        batches: In their order.
        appended: Positions that the function adds to each series.
    """

    runner: Runner
    function: Callable[[Batch], Any]
    tasks: Sequence[Task]
    batches: list[Batch]
    appended: int

    @property
    def tokens_computed(self) -> int:
        """Positions of all batches, with what only fills them up."""
        patch = self.runner.config.patch_size
        shapes = [batch.context_GxVxT.shape for batch in self.batches]
        return sum(groups * variates * (steps // patch + self.appended) for groups, variates, steps in shapes)

    @property
    def tokens_needed(self) -> int:
        """Positions of all inputs, each of its own length."""
        patch = self.runner.config.patch_size
        shapes = [task.history_VxT.shape for task in self.tasks]
        return sum(variates * (num_patches(steps, patch) + self.appended) for variates, steps in shapes)

    @property
    def shapes(self) -> list[tuple[Batch, int]]:
        """A batch of each shape, and how many there are of it."""
        first: dict[tuple[int, ...], Batch] = {}
        for batch in self.batches:
            first.setdefault(batch.context_GxVxT.shape, batch)
        numbers = Counter(batch.context_GxVxT.shape for batch in self.batches)
        return [(batch, numbers[shape]) for shape, batch in first.items()]

    def lower(self, batch: Batch) -> jax.stages.Lowered:
        """The program for a batch, from shapes alone, ready for the compiler: no weight is allocated."""
        structure, params = self.model
        arrays = {name: getattr(batch, name) for name in ARRAYS if getattr(batch, name) is not None}

        def program(params: dict[str, Any], arrays: dict[str, Any]) -> Any:
            with mock.patch.multiple(self.runner, structure=structure, arrays=params):
                return self.function(batch._replace(**arrays))

        return jax.jit(program).lower(params, jax.eval_shape(lambda: arrays))

    @property
    def model(self) -> tuple[Structure, dict[str, Any]]:
        """The model of the runner's configuration in the form in which the runner has it, and shapes of its weights."""
        runner, config = self.runner, self.runner.config
        model = abstract_model(config, np.float32, runner.mesh, jax.local_devices()[0])
        if isinstance(runner.structure.model(runner.arrays).encoder.blocks, nnx.List):
            model.encoder.blocks = unstack_blocks(model.encoder.blocks, config.num_layers)
        graphdef, state = nnx.split(model)
        return Structure(graphdef), nnx.to_pure_dict(state)


class _PlannedError(Exception):
    """Takes a plan out of the middle of a call."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan


def plan(call: Callable[[Chronos2Pipeline], object], config: Chronos2Config, *, on_cpu: bool = True) -> Plan:
    """What a call of a pipeline of this configuration would compute on a CPU, or on a GPU."""
    pipeline = Chronos2Pipeline.from_pretrained("random:tiny")
    pipeline.config = pipeline._runner.config = config
    run = Runner.run

    def planned(*arguments: Any, **options: Any) -> None:
        bound = inspect.signature(run).bind(*arguments, **options).arguments
        function = bound["function"]
        batches = [batch for batch, _ in run(**bound | {"function": lambda batch: np.zeros(0)})]
        raise _PlannedError(Plan(bound["self"], function, bound["tasks"], batches, bound["appended_patches"]))

    with ExitStack() as patches:
        patches.enter_context(mock.patch.object(Runner, "run", planned))
        if not on_cpu:
            patches.enter_context(mock.patch.object(Runner, "tokens_at_once", tokens_at_once("gpu", 1)))
        try:
            call(pipeline)
        except _PlannedError as found:
            return found.plan
    raise RuntimeError("the call went through without a batch: nothing is computed by chronos2.runner.Runner.run")
