"""Zero-shot recognition: the activity whose description is nearest to a window."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.special import softmax


def nearest_labels(
    windows_NxD: Float[np.ndarray, "n d"], descriptions_LxD: Float[np.ndarray, "l d"], labels: Sequence[str]
) -> list[str]:
    """For each window the label whose description is most similar (cosine); the first of equals.

    Args:
        windows_NxD: Unit embeddings of windows.
        descriptions_LxD: Unit embeddings of the labels' descriptions.
        labels: One per description.
    """
    return [labels[index] for index in (windows_NxD @ descriptions_LxD.T).argmax(axis=1)]


def label_probabilities(
    windows_NxD: Float[np.ndarray, "n d"], descriptions_LxD: Float[np.ndarray, "l d"], logit_scale: float
) -> Float[np.ndarray, "n l"]:
    """Probability of each label: the softmax over the labels of scaled cosine similarities.

    It is what the contrastive model makes of a choice among these descriptions, and no calibrated frequency.

    Args:
        windows_NxD: Unit embeddings of windows.
        descriptions_LxD: Unit embeddings of the labels' descriptions.
        logit_scale: Inverse temperature of the run.
    """
    return softmax(logit_scale * (windows_NxD @ descriptions_LxD.T), axis=1)
