"""The losses by their definitions, with the whole matrix of logits.

Inside jax.jit, with the batch split over a mesh, these are the losses of the whole batch: the compiler gathers what the
matrix needs. They are what the other forms are measured against.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from train.losses.interface import Contrast, Matches, Negatives, fitting


def info_nce(
    sensor_BxD: Float[Array, "b d"],
    text_BxD: Float[Array, "b d"],
    logit_scale: Float[Array, ""],
    logit_bias: Float[Array, ""],
    matches: Matches,
    negatives: Negatives | None = None,
) -> Contrast:
    """Symmetric softmax cross-entropy (CLIP, Radford et al. 2021, figure 3), with any number of positives per row.

    The target of a window is uniform over the texts that fit it, and the target of a text uniform over the windows that
    it fits, so that with one fitting text for each window this is CLIP's loss. Mean over the batch and over both
    directions, in nats. Arguments as for `Loss`; `logit_bias` is not used.
    """
    cosine_BxB, fits_BxB = sensor_BxD @ text_BxD.T, fitting(*matches)
    window_to_text = _cross_entropy(cosine_BxB, fits_BxB, logit_scale, negatives)
    text_to_window = _cross_entropy(cosine_BxB.T, fits_BxB.T, logit_scale)
    return Contrast((window_to_text.mean() + text_to_window.mean()) / 2, *_accuracies(cosine_BxB, fits_BxB))


def focal_sigmoid(
    sensor_BxD: Float[Array, "b d"],
    text_BxD: Float[Array, "b d"],
    logit_scale: Float[Array, ""],
    logit_bias: Float[Array, ""],
    matches: Matches,
    negatives: Negatives | None = None,
    *,
    gamma: float,
) -> Contrast:
    """Sigmoid loss (SigLIP, Zhai et al. 2023, algorithm 1), whose pairs count by how wrong they are.

    Every pair is one yes-or-no question of weight (1 − p)^gamma (focal loss, Lin et al. 2017, equation 4), where p is
    the probability given to the right answer, so that the many easy negatives of a batch do not drown the rest; with
    gamma 0 this is SigLIP's loss. Sum over the pairs, divided by the batch size. Arguments as for `Loss`.
    """
    cosine_BxB, fits_BxB = sensor_BxD @ text_BxD.T, fitting(*matches)
    logits_BxB = _for_each_row(logit_scale, cosine_BxB) * cosine_BxB + _for_each_row(logit_bias, cosine_BxB)
    rows_B = focal(jnp.where(fits_BxB, logits_BxB, -logits_BxB), gamma).sum(axis=1)
    total = jax.lax.optimization_barrier(rows_B).sum()  # a sum of sums, as in `_for_each_row`
    if negatives is not None:
        total += focal_negatives(logit_scale, logit_bias, negatives, gamma)
    return Contrast(total / len(sensor_BxD), *_accuracies(cosine_BxB, fits_BxB))


def focal(margin: Float[Array, "..."], gamma: float) -> Float[Array, "..."]:
    """−(1 − p)^gamma · log p with p = sigmoid(margin); margin is the logit of the right answer."""
    loss = -jax.nn.log_sigmoid(margin)
    # 1 − p = sigmoid(−margin), as a logarithm: a power of what has become 0 has no finite derivative.
    return loss * jnp.exp(gamma * jax.nn.log_sigmoid(-margin)) if gamma else loss


def focal_negatives(
    logit_scale: Float[Array, ""], logit_bias: Float[Array, ""], negatives: Negatives, gamma: float
) -> Float[Array, ""]:
    """What further texts add to the sum over the pairs."""
    extra_BxK = focal(-(logit_scale * negatives.cosine_BxK + logit_bias), gamma)
    return jnp.where(negatives.valid_BxK, extra_BxK, 0.0).sum()


def _for_each_row(number: Float[Array, ""], matrix_BxB: Float[Array, "b b"]) -> Float[Array, "b 1"]:
    # Derivatives are then summed over columns, then over rows. Without the barrier XLA makes one sum of the two, whose
    # rounding grows with the number of pairs.
    return jax.lax.optimization_barrier(jnp.broadcast_to(number, (len(matrix_BxB), 1)))


def _cross_entropy(
    cosine_BxB: Float[Array, "b b"],
    fits_BxB: Bool[Array, "b b"],
    logit_scale: Float[Array, ""],
    negatives: Negatives | None = None,
) -> Float[Array, " b"]:
    # Relative to the nearest, which softmax does not feel: near cosines subtract exactly, large logits would round.
    nearest_Bx1 = jax.lax.stop_gradient(cosine_BxB.max(axis=1, keepdims=True))
    logits_BxB = logit_scale * (cosine_BxB - nearest_Bx1)
    columns = logits_BxB
    if negatives is not None:
        extra_BxK = logit_scale * (negatives.cosine_BxK - nearest_Bx1)
        columns = jnp.concatenate([logits_BxB, jnp.where(negatives.valid_BxK, extra_BxK, -jnp.inf)], axis=1)
    target = jnp.where(fits_BxB, logits_BxB, 0.0).sum(axis=1) / fits_BxB.sum(axis=1)
    return jax.nn.logsumexp(columns, axis=1) - target


def _accuracies(
    cosine_BxB: Float[Array, "b b"], fits_BxB: Bool[Array, "b b"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    cosine_BxB = jax.lax.stop_gradient(cosine_BxB)
    fitting_BxB = jnp.where(fits_BxB, cosine_BxB, -jnp.inf)
    others_BxB = jnp.where(fits_BxB, -jnp.inf, cosine_BxB)
    to_text, to_window = ((fitting_BxB.max(axis) > others_BxB.max(axis)).mean() for axis in (1, 0))
    return to_text, to_window
