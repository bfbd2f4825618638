"""How far each form is from the definitions in double precision, with embeddings as they come: rounded, not exact."""

from functools import cache
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

from chronos_jax.sharding import make_mesh, named_sharding
from train.losses import Matches, Negatives, make_loss

BATCH, CAPTIONS, EXTRA, TILE = 192, 3, 8, 25  # of 64 windows on a device, or 32, or 24
LOSSES: dict[str, Any] = {
    "infonce": ("infonce", 2.0),
    "sigmoid": ("sigmoid", 2.0),
    "focal 0": ("focal_sigmoid", 0.0),
    "focal 0.5": ("focal_sigmoid", 0.5),
    "focal 2": ("focal_sigmoid", 2.0),
    "focal 5": ("focal_sigmoid", 5.0),
}
NAMES = ["loss", "sensor", "text", "scale", "bias", "negatives"]


class Inputs(NamedTuple):
    sensor_BxD: Any
    text_BxD: Any
    scale: Any
    bias: Any
    cosine_BxK: Any
    valid_BxK: Any
    matches: Matches


def draw(seed: int, width: int, common: float) -> Inputs:
    """A batch of unit embeddings; `common` is what all share, in deviations of what they do not."""
    random = np.random.default_rng(seed)
    centre = common * random.standard_normal(width)
    drawn = [centre + random.standard_normal((n, width)) for n in (BATCH, BATCH, EXTRA)]
    sensor, text, others = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in drawn)
    own = random.integers(0, BATCH // 2, (BATCH, CAPTIONS))
    own[:, 1:][random.random((BATCH, CAPTIONS - 1)) < 0.5] = -1
    mask = random.random((BATCH, EXTRA)) < 0.5
    mask[::3] = False  # some windows found no negative
    arrays = [np.asarray(x, np.float32) for x in (sensor, text, 14.0, -8.0, sensor @ others.T)]
    return Inputs(*arrays, mask, Matches(own.astype(np.int32), own[:, 0].astype(np.int32)))


@cache
def gradient(loss: str, form: Any, shape: tuple[int, int, int]) -> Any:
    kind, gamma = LOSSES[loss]
    mesh = make_mesh(dict(zip(("data", "fsdp", "tensor"), shape, strict=True)), jax.devices()[: np.prod(shape)])
    function = make_loss(kind, form, mesh, gamma=gamma, tile=TILE)

    def objective(sensor, text, scale, bias, cosine, valid, matches):
        return function(sensor, text, scale, bias, matches, Negatives(cosine, valid)).loss

    batch, everywhere = named_sharding(mesh, ("batch",)), named_sharding(mesh)
    layout = Inputs(batch, batch, everywhere, everywhere, batch, batch, Matches(batch, batch))
    return jax.jit(jax.value_and_grad(objective, argnums=range(5)), in_shardings=tuple(layout))


def in_double_precision(loss: str, inputs: Inputs) -> list[np.ndarray]:
    """Loss and gradients by the definitions and by hand."""
    sensor, text, scale, bias, extra = (np.asarray(x, np.float64) for x in inputs[:5])
    own, ids = inputs.matches
    fits = (own[:, :, None] == ids).any(axis=1)
    kind, gamma = LOSSES[loss]
    if kind == "infonce":
        value, by_cosine, by_scale, by_extra = _info_nce(sensor @ text.T, fits, scale, extra, inputs.valid_BxK)
        by_bias = np.zeros(())
    else:
        gamma = gamma if kind == "focal_sigmoid" else 0.0
        cosine = np.hstack([sensor @ text.T, extra])
        sign = np.where(np.hstack([fits, np.zeros_like(inputs.valid_BxK)]), 1.0, -1.0)
        counts = np.hstack([np.ones_like(fits), inputs.valid_BxK]) / BATCH
        margin = sign * (scale * cosine + bias)
        surprise = np.logaddexp(0.0, -margin)  # -log p
        right, wrong = np.exp(-surprise), np.exp(-np.logaddexp(0.0, margin))
        value = (counts * surprise * wrong**gamma).sum()
        by_logit = -sign * counts * wrong**gamma * (wrong + gamma * right * surprise)
        by_cosine, by_extra = np.split(scale * by_logit, [BATCH], axis=1)
        by_scale, by_bias = (cosine * by_logit).sum(), by_logit.sum()
    return [value, by_cosine @ text, by_cosine.T @ sensor, by_scale, by_bias, by_extra]


def _info_nce(cosine: Any, fits: Any, scale: Any, extra: Any, valid: Any) -> tuple[Any, Any, Any, Any]:
    def half(cosine: Any, fits: Any, counts: Any) -> tuple[Any, Any, Any]:
        logits = np.where(counts, scale * cosine, -np.inf)
        log_sum = np.logaddexp.reduce(logits, axis=1, keepdims=True)
        target = fits / fits.sum(axis=1, keepdims=True)
        value = (log_sum[:, 0] - (target * scale * cosine).sum(axis=1)).sum() / (2 * BATCH)
        by_logit = (np.exp(logits - log_sum) - target) / (2 * BATCH)
        return value, scale * by_logit, (cosine * by_logit).sum()

    wide, fits_wide = np.hstack([cosine, extra]), np.hstack([fits, np.zeros_like(valid)])
    to_text, by_wide, by_scale = half(wide, fits_wide, np.hstack([np.ones_like(fits), valid]))
    to_window, by_turned, by_scale_too = half(cosine.T, fits.T, np.ones_like(fits.T))
    by_cosine, by_extra = np.split(by_wide, [BATCH], axis=1)
    return to_text + to_window, by_cosine + by_turned.T, by_scale + by_scale_too, by_extra


@cache
def exact(loss: str, width: int, common: float, seed: int) -> tuple[Inputs, list[np.ndarray]]:
    inputs = draw(seed, width, common)
    return inputs, in_double_precision(loss, inputs)


@cache
def errors(loss: str, form: str, shape: tuple[int, int, int], width: int, common: float) -> np.ndarray:
    """The worst of three draws for each of NAMES, relative to its largest entry."""
    worst = np.zeros(len(NAMES))
    for seed in range(3):
        inputs, expected = exact(loss, width, common, seed)
        value, gradients = gradient(loss, form, shape)(*inputs)
        for number, (found, right) in enumerate(zip([value, *gradients], expected, strict=True)):
            error = np.abs(np.asarray(found, np.float64) - right).max()
            worst[number] = max(worst[number], error / (np.abs(right).max() or 1.0))
    return worst


FEW = [("ring", (3, 2, 1), 16), ("tiles", (3, 2, 1), 512)]
MORE = [*FEW, ("tiles", (3, 1, 1), 16), ("ring", (3, 1, 2), 512), ("tiles", (1, 8, 1), 512)]
CASES = [
    pytest.param(loss, form, shape, width, id=f"{loss}-{form}-{'x'.join(map(str, shape))}-{width}")
    for loss in LOSSES
    for form, shape, width in (MORE if loss in ("infonce", "sigmoid", "focal 2") else FEW)
]


@pytest.mark.parametrize("common", [0.0, 2.0])
@pytest.mark.parametrize(("loss", "form", "shape", "width"), CASES)
def test_no_form_is_less_exact_than_the_whole_matrix(
    loss: str, form: str, shape: Any, width: int, common: float
) -> None:
    found, plain = errors(loss, form, shape, width, common), errors(loss, "plain", (1, 1, 1), width, common)
    for name, one, other in zip(NAMES, found, plain, strict=True):
        print(f"{name:9s} {one:.1e}, plain {other:.1e}")
        # Three draws do not tell the plain form's own error of a single number, which may be 0 by chance.
        assert one <= max(1e-6, 3 * other), name
    embeddings = slice(1, 3)  # thousands of numbers, whose largest error is no chance
    assert (found[embeddings] <= 2 * plain[embeddings]).all()
    if common == 0.0:
        assert (found[:3] <= 1e-6).all()
