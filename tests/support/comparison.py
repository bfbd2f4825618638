"""The same case through the port and through the reference, and how far they are apart."""

import dataclasses
from typing import Any

import jax
import numpy as np
from flax import nnx
from reference import Case

from chronos_jax.chronos2.grouping import group_layout
from chronos_jax.chronos2.pipeline import Chronos2Pipeline

BOUND = 1e-5
"""Largest difference allowed in float32, as a share of the largest value of the reference."""


@dataclasses.dataclass(frozen=True)
class Outputs:
    """What a model says of a case, one entry a series."""

    hidden: np.ndarray  # (B, S, D)
    quantiles: np.ndarray  # (B, Q, H)
    loc: np.ndarray  # (B, 1)
    scale: np.ndarray  # (B, 1)


def run_port(pipeline: Chronos2Pipeline, case: Case) -> tuple[Outputs, np.ndarray]:
    """The port's outputs, and which positions are valid (B, S)."""
    layout = group_layout(case.group_ids_B)
    graphdef, state = nnx.split(pipeline.model)

    @jax.jit
    def both(state: Any, context: Any, variates: Any, future: Any) -> Any:
        model = nnx.merge(graphdef, state)
        arguments = {
            "variate_mask_GxV": variates,
            "future_GxVxH": future,
            "num_output_patches": case.num_output_patches,
        }
        return model.encode(context, **arguments), model(context, **arguments)

    future = None if case.future_BxH is None else layout.scatter(case.future_BxH)
    encoded, quantiles = jax.device_get(both(state, layout.scatter(case.context_BxT), layout.variate_mask_GxV, future))
    gathered = [
        layout.gather(np.asarray(x, np.float32))
        for x in (encoded.hidden_GxVxSxD, quantiles, encoded.loc_GxVx1, encoded.scale_GxVx1)
    ]
    return Outputs(*gathered), layout.gather(encoded.mask_GxVxS)


def run_reference(pipeline: Any, case: Case) -> Outputs:
    """The reference's outputs."""
    import torch

    arguments = {
        "context": torch.tensor(case.context_BxT),
        "group_ids": torch.tensor(case.group_ids_B),
        "future_covariates": None if case.future_BxH is None else torch.tensor(case.future_BxH),
        "num_output_patches": case.num_output_patches,
    }
    with torch.no_grad():
        encoded, (loc, scale), *_ = pipeline.model.encode(**arguments)
        quantiles = pipeline.model(**arguments).quantile_preds
    return Outputs(*(x.float().numpy() for x in (encoded[0], quantiles, loc, scale)))


def relative_error(ours: np.ndarray, reference: np.ndarray) -> float:
    """max|Δ| / max|reference|."""
    assert ours.shape == reference.shape
    assert np.isfinite(ours).all()
    assert np.isfinite(reference).all()
    return float(np.abs(ours - reference).max() / np.abs(reference).max())


def errors(ours: Outputs, valid: np.ndarray, reference: Outputs) -> dict[str, float]:
    """Relative error of each quantity; hidden states at valid positions, the rest series by series."""
    forecasts = [relative_error(a, b) for a, b in zip(ours.quantiles, reference.quantiles, strict=True)]
    return {
        "embedding": relative_error(ours.hidden[valid], reference.hidden[valid]),
        "forecast": max(forecasts),
        "loc": float(np.abs((ours.loc - reference.loc) / reference.scale).max()),
        "scale": float(np.abs(ours.scale / reference.scale - 1).max()),
    }
