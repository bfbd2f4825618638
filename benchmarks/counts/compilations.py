"""How many programs are compiled in a fixed series of calls: each costs a user seconds, and none should come twice."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.monitoring

from benchmarks.side_by_side.inputs import long_frame, ragged, walks
from chronos_jax import Chronos2Pipeline
from chronos_jax.chronos2.random_weights import SIZES, random_params

COMPILED = "/jax/core/compile/backend_compile_duration"

# In this order, in one process: what one call has compiled the next ones need not. All inputs are small but in number.
SERIES: dict[str, Callable[[Chronos2Pipeline], object]] = {
    "ragged, 2,000 series": lambda pipeline: pipeline.predict(ragged(2000), 24),
    "the same again": lambda pipeline: pipeline.predict(ragged(2000), 24),
    "700 of them, 20 steps": lambda pipeline: pipeline.predict(ragged(700), 20),
    "DataFrame, 300 series": lambda pipeline: pipeline.predict_df(long_frame(300, 200), prediction_length=24),
    "embed, 1,024 windows": lambda pipeline: pipeline.embed(walks(1024, 5, 50)),
    "embed, 64 windows": lambda pipeline: pipeline.embed(walks(64, 5, 50)),
    "three stretches of a long horizon": lambda pipeline: pipeline.predict(walks(1, 1, 64), 160, max_output_patches=4),
    "a little further": lambda pipeline: pipeline.predict(walks(1, 1, 60), 165, max_output_patches=4),
    "DataFrame and embed again": lambda pipeline: [
        pipeline.predict_df(long_frame(300, 200), prediction_length=24),
        pipeline.embed(walks(1024, 5, 50)),
    ],
}


def compilations(series: dict[str, Callable[[Chronos2Pipeline], object]] = SERIES) -> dict[str, int]:
    """Call → programs compiled for it that no earlier one had compiled. Forgets what this process had compiled."""
    # Programs are as many whatever the layers, and quicker compiled where they are few.
    config = SIZES["tiny"].model_copy(update={"num_layers": 1})
    pipeline = Chronos2Pipeline(config, random_params(config))
    jax.clear_caches()
    found = {}
    with _counted() as compiled, _quickly():
        for name, call in series.items():
            before = len(compiled)
            call(pipeline)
            found[f"compilations: {name}"] = len(compiled) - before
    return found


@contextmanager
def _quickly() -> Iterator[None]:
    """Compiles with few optimisations: what is compiled here hardly runs."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)


@contextmanager
def _counted() -> Iterator[list[str]]:
    """A list that grows by an entry whenever a program is compiled, or read from the cache on disk."""
    compiled: list[str] = []

    def listen(event: str, duration_secs: float, **kwargs: Any) -> None:
        if event == COMPILED:
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield compiled
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
