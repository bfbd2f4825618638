"""The linear probe: what a linear classifier can read from frozen features."""

import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

ITERATIONS = 500


def probe(
    train_NxF: Float[np.ndarray, "n f"], train_labels: Sequence[str], validation_MxF: Float[np.ndarray, "m f"]
) -> list[str]:
    """Labels predicted for validation features by logistic regression on training features.

    Features are scaled to mean 0 and deviation 1 over the training windows. The classifier is scikit-learn's, with its
    default L2 penalty, and does not depend on a random state.

    Raises:
        ValueError: The training windows have a single label, which leaves nothing to learn.
    """
    if len(set(train_labels)) < 2:
        raise ValueError(
            f"a linear probe needs at least 2 labels among the training windows, found {set(train_labels)}"
        )
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=ITERATIONS))
    with warnings.catch_warnings():
        # The bound on iterations is part of the measure: on separable features the optimum is far out, and what lies
        # between changes hardly any prediction.
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit(train_NxF, train_labels)
    return classifier.predict(validation_MxF).tolist()
