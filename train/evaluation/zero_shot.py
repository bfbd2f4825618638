"""Zero-shot recognition: the activity whose description is nearest to a window."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


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
