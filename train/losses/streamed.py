"""The losses from sums that are gathered tile by tile: the same functions as in `train.losses.plain`."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from train.losses.interface import Contrast, Matches, Negatives
from train.losses.pairs import Focal, Softmax, Sums, largest
from train.losses.plain import focal_negatives
from train.losses.ring import Ring, pair_sums


def info_nce(
    sensor_BxD: Float[Array, "b d"],
    text_BxD: Float[Array, "b d"],
    logit_scale: Float[Array, ""],
    logit_bias: Float[Array, ""],
    matches: Matches,
    negatives: Negatives | None = None,
    *,
    ring: Ring,
) -> Contrast:
    """`train.losses.plain.info_nce` on a ring."""
    rows, columns = pair_sums(Softmax(), ring, sensor_BxD, text_BxD, logit_scale, logit_bias, matches)
    window_to_text = _cross_entropy(rows, logit_scale, negatives)
    text_to_window = _cross_entropy(columns, logit_scale)
    return Contrast((window_to_text.mean() + text_to_window.mean()) / 2, _accuracy(rows), _accuracy(columns))


def focal_sigmoid(
    sensor_BxD: Float[Array, "b d"],
    text_BxD: Float[Array, "b d"],
    logit_scale: Float[Array, ""],
    logit_bias: Float[Array, ""],
    matches: Matches,
    negatives: Negatives | None = None,
    *,
    gamma: float,
    ring: Ring,
) -> Contrast:
    """`train.losses.plain.focal_sigmoid` on a ring."""
    rows, columns = pair_sums(Focal(gamma), ring, sensor_BxD, text_BxD, logit_scale, logit_bias, matches)
    total = rows.terms.sum()
    if negatives is not None:
        total += focal_negatives(logit_scale, logit_bias, negatives, gamma)
    return Contrast(total / len(sensor_BxD), _accuracy(rows), _accuracy(columns))


def _cross_entropy(sums: Sums, logit_scale: Float[Array, ""], negatives: Negatives | None = None) -> Float[Array, " b"]:
    nearest_B, terms = largest(sums.nearest), sums.terms
    log_sum_B = jnp.log(terms.exponentials)
    if negatives is not None:
        extra_BxK = logit_scale * (negatives.cosine_BxK - nearest_B[:, None])
        extra_BxK = jnp.where(negatives.valid_BxK, extra_BxK, -jnp.inf)
        log_sum_B = jax.nn.logsumexp(jnp.concatenate([log_sum_B[:, None], extra_BxK], axis=1), axis=1)
    return log_sum_B - logit_scale * (terms.fitting / terms.number - nearest_B)


def _accuracy(sums: Sums) -> Float[Array, ""]:
    return (sums.nearest.fitting > sums.nearest.other).mean()
