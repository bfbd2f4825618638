"""Contrastive losses over the global batch, as pure functions of embeddings.

Every loss has the signature `(sensor_BxD, text_BxD, logit_scale, logit_bias, positives_BxB, negatives)`. Embeddings are
unit vectors; a logit is `logit_scale` times their cosine. Inside jax.jit, with the batch split over a mesh, these are
the losses of the whole batch: the compiler gathers what the matrix of logits needs. A form that never holds that matrix
(a ring over devices, tiles) can take a function's place without its callers noticing.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


class Negatives(NamedTuple):
    """Further texts, not of this batch, that each window is to be told apart from (see `train.negatives`)."""

    cosine_BxK: Float[Array, "b k"]  # of the window with each of its K texts
    valid_BxK: Bool[Array, "b k"]  # False: nothing there, or a caption of that very window


@runtime_checkable
class Loss(Protocol):
    """What every loss of this module is."""

    def __call__(
        self,
        sensor_BxD: Float[Array, "b d"],
        text_BxD: Float[Array, "b d"],
        logit_scale: Float[Array, ""],
        logit_bias: Float[Array, ""],
        positives_BxB: Bool[Array, "b b"],
        negatives: Negatives | None = None,
    ) -> Float[Array, ""]: ...


def info_nce(
    sensor_BxD: Float[Array, "b d"],
    text_BxD: Float[Array, "b d"],
    logit_scale: Float[Array, ""],
    logit_bias: Float[Array, ""],
    positives_BxB: Bool[Array, "b b"],
    negatives: Negatives | None = None,
) -> Float[Array, ""]:
    """Symmetric softmax cross-entropy (CLIP, Radford et al. 2021, figure 3), with any number of positives per row.

    The target of a window is uniform over the texts that fit it, and the target of a text uniform over the windows that
    it fits, so that with the identity as `positives_BxB` this is CLIP's loss.

    Args:
        sensor_BxD: Unit embeddings of the windows.
        text_BxD: Unit embeddings of one caption of each window.
        logit_scale: Inverse temperature.
        logit_bias: Not used: softmax does not feel a constant. Here for the common signature.
        positives_BxB: Whether text j (column) fits window i (row); true on the diagonal.
        negatives: Further columns for the direction from window to text.

    Returns:
        Mean over the batch and over both directions, in nats.
    """
    logits_BxB = logit_scale * (sensor_BxD @ text_BxD.T)
    columns = logits_BxB
    if negatives is not None:
        extra = jnp.where(negatives.valid_BxK, logit_scale * negatives.cosine_BxK, -jnp.inf)
        columns = jnp.concatenate([logits_BxB, extra], axis=1)
    window_to_text = jax.nn.logsumexp(columns, axis=1) - _mean_where(logits_BxB, positives_BxB, axis=1)
    text_to_window = jax.nn.logsumexp(logits_BxB, axis=0) - _mean_where(logits_BxB, positives_BxB, axis=0)
    return (window_to_text.mean() + text_to_window.mean()) / 2


def sigmoid(
    sensor_BxD: Float[Array, "b d"],
    text_BxD: Float[Array, "b d"],
    logit_scale: Float[Array, ""],
    logit_bias: Float[Array, ""],
    positives_BxB: Bool[Array, "b b"],
    negatives: Negatives | None = None,
) -> Float[Array, ""]:
    """Sigmoid loss (SigLIP, Zhai et al. 2023, algorithm 1): every pair is one yes-or-no question.

    Arguments as for `info_nce`; `logit_bias` is added to every logit. Sum over the pairs, divided by the batch size.
    """
    return focal_sigmoid(sensor_BxD, text_BxD, logit_scale, logit_bias, positives_BxB, negatives, gamma=0.0)


def focal_sigmoid(
    sensor_BxD: Float[Array, "b d"],
    text_BxD: Float[Array, "b d"],
    logit_scale: Float[Array, ""],
    logit_bias: Float[Array, ""],
    positives_BxB: Bool[Array, "b b"],
    negatives: Negatives | None = None,
    *,
    gamma: float = 2.0,
) -> Float[Array, ""]:
    """Sigmoid loss whose pairs count by how wrong they are: (1 − p)^gamma (focal loss, Lin et al. 2017, equation 4).

    p is the probability given to the right answer, so that the many easy negatives of a batch do not drown the rest.
    Arguments as for `sigmoid`.
    """
    logits_BxB = logit_scale * (sensor_BxD @ text_BxD.T) + logit_bias
    total = _focal(jnp.where(positives_BxB, logits_BxB, -logits_BxB), gamma).sum()
    if negatives is not None:
        extra = _focal(-(logit_scale * negatives.cosine_BxK + logit_bias), gamma)
        total += jnp.where(negatives.valid_BxK, extra, 0.0).sum()
    return total / len(sensor_BxD)


def accuracy(
    sensor_BxD: Float[Array, "b d"], text_BxD: Float[Array, "b d"], positives_BxB: Bool[Array, "b b"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Share of windows whose nearest text of the batch fits, and of texts whose nearest window does."""
    cosine_BxB = sensor_BxD @ text_BxD.T
    window_to_text = jnp.take_along_axis(positives_BxB, cosine_BxB.argmax(axis=1)[:, None], axis=1)
    text_to_window = jnp.take_along_axis(positives_BxB, cosine_BxB.argmax(axis=0)[None, :], axis=0)
    return window_to_text.mean(), text_to_window.mean()


def _mean_where(logits_BxB: Float[Array, "b b"], where_BxB: Bool[Array, "b b"], axis: int) -> Float[Array, " b"]:
    return jnp.where(where_BxB, logits_BxB, 0.0).sum(axis) / where_BxB.sum(axis)


def _focal(margin: Float[Array, "..."], gamma: float) -> Float[Array, "..."]:
    """-(1 − p)^gamma · log p with p = sigmoid(margin); margin is the logit of the right answer."""
    # 1 − p = sigmoid(−margin), computed so that it keeps its digits where p is close to 1.
    return -jax.nn.log_sigmoid(margin) * jax.nn.sigmoid(-margin) ** gamma
