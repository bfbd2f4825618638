"""The table of cases: what is done, how it is asked for, and the ratios to reach."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.side_by_side.inputs import long_frame, ragged, walks

if TYPE_CHECKING:
    from chronos_jax.chronos2.config import Chronos2Config

Call = Callable[[Any], object]
"""What is timed: from a pipeline to an answer whose numbers have arrived on the host."""


class Targets(NamedTuple):
    """What to reach on a CPU in float32, and on an H200 in bfloat16; None where nothing is asked."""

    cpu: float | None = None
    gpu: float | None = None


NONE = Targets()


@dataclass(frozen=True)
class Case:
    """One line of the table.

    Attributes:
        title: What is done.
        ratio: Targets for seconds of the reference over ours.
        make: Prepares inputs, apart from the clock, and returns what is timed; None for cases that are processes.
        ours_too: Makes further calls, by name, which our side alone runs, each in a process of its own; the reference's
            side those whose names begin with "reference".
        memory: Targets for our peak memory over the reference's.
        share: Targets for our share of the rate of a plain matrix product; only with "product" among `ours_too`.
        overhead: Targets for the time beyond that of "arrays" among `ours_too`, as a share of it.
        flops: Operations that the model needs for the case.
        tolerance: Largest difference of the answers in float32, as a share of the reference's largest value.
    """

    title: str
    ratio: Targets = NONE
    make: Callable[[], Call] | None = None
    ours_too: Mapping[str, Callable[[], Call]] = field(default_factory=dict)
    memory: Targets = NONE
    share: Targets = NONE
    overhead: Targets = NONE
    flops: "Callable[[Chronos2Config], int] | None" = None
    tolerance: float = 1e-4


def _predict(inputs: Any, horizon: int, **options: Any) -> Call:
    return lambda pipeline: pipeline.predict(inputs, prediction_length=horizon, **options)


def _embed(inputs: Any) -> Call:
    return lambda pipeline: pipeline.embed(inputs)


def _predict_df(df: Any, horizon: int) -> Call:
    return lambda pipeline: pipeline.predict_df(df, prediction_length=horizon)


def _product() -> Call:
    from benchmarks.side_by_side.product import make_product

    return make_product()


def _torch_product() -> Call:
    from benchmarks.side_by_side.product import make_torch_product

    return make_torch_product()


def _embed_flops(groups: int, variates: int, steps: int) -> "Callable[[Chronos2Config], int]":
    def flops(config: "Chronos2Config") -> int:
        from benchmarks.necessary_flops import embed_flops

        return embed_flops(config, groups, variates, steps)

    return flops


def _forecast_flops(groups: int, variates: int, steps: int, horizon: int) -> "Callable[[Chronos2Config], int]":
    def flops(config: "Chronos2Config") -> int:
        from benchmarks.necessary_flops import forecast_flops

        return forecast_flops(config, groups, variates, steps, horizon)

    return flops


START, TRAINING = "cold-start", "training"

CASES: dict[str, Case] = {
    "embed-64": Case(
        "embed, 64 windows × 5 variates × 50 steps",
        ratio=Targets(1.3, 3),
        make=lambda: _embed(walks(64, 5, 50)),
    ),
    "embed-1024": Case(
        "embed, 1,024 windows × 5 variates × 50 steps",
        ratio=Targets(1.35, 3),
        make=lambda: _embed(walks(1024, 5, 50)),
        ours_too={"product": _product, "reference product": _torch_product},
        share=Targets(0.88, 0.45),
        flops=_embed_flops(1024, 5, 50),
    ),
    "forecast-256": Case(
        "forecast, 256 univariate × 512 → 64",
        ratio=Targets(1.6, 2.5),
        make=lambda: _predict(walks(256, 1, 512), 64),
        ours_too={"product": _product, "reference product": _torch_product},
        memory=Targets(0.8, 0.8),
        share=Targets(None, 0.45),
        flops=_forecast_flops(256, 1, 512, 64),
    ),
    "ragged-2000": Case(
        "forecast, 2,000 ragged series of 40 … 2,800 → 24",
        ratio=Targets(3.5, 4),
        make=lambda: _predict(ragged(2000), 24),
    ),
    "multivariate": Case(
        "forecast, 32 × 5 variates × 512 → 64",
        ratio=Targets(1.25, 2),
        make=lambda: _predict(walks(32, 5, 512), 64),
        flops=_forecast_flops(32, 5, 512, 64),
    ),
    "long-context": Case(
        "forecast, 8 × 2,048 → 64",
        ratio=Targets(2, 2),
        make=lambda: _predict(walks(8, 1, 2048), 64),
        flops=_forecast_flops(8, 1, 2048, 64),
    ),
    "long-history": Case(
        "forecast, 1 × 8,192 steps → 64",
        ratio=Targets(1.3, 1.5),
        make=lambda: _predict(walks(1, 1, 8192), 64),
        flops=_forecast_flops(1, 1, 8192, 64),
    ),
    "long-horizon": Case(
        "forecast, 1 × 512 → 8,192",
        make=lambda: _predict(walks(1, 1, 512), 8192),
        tolerance=1e-3,  # forecasts that are fed back add up what is rounded
    ),
    "cross-learning": Case(
        "forecast, cross-learning, 100 × 512 → 64",
        ratio=Targets(1.15, 1.5),
        make=lambda: _predict(walks(100, 1, 512), 64, cross_learning=True),
        flops=_forecast_flops(1, 100, 512, 64),
    ),
    "dataframe": Case(
        "forecast, DataFrame of 5,000 series × 200 → 24",
        ratio=Targets(1.5, 4),
        make=lambda: _predict_df(long_frame(5000, 200), 24),
        ours_too={"arrays": lambda: _predict(walks(5000, 1, 200), 24)},
        overhead=Targets(0.05, None),
    ),
    START: Case("process start to first forecast, second start on a machine", ratio=Targets(2, 2)),
    TRAINING: Case("head training, 5,000 windows of 5 × 50, 50 epochs, all included", ratio=Targets(40, 40)),
}
