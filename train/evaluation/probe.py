"""The linear probe: what a linear classifier can read from frozen features."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

ITERATIONS = 2000  # far more than convergence was seen to take


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
    # Products this small are 10 to 20 times slower on several threads that wait for each other, and what is summed in
    # another order on another number of cores would give other numbers.
    with threadpool_limits(1, user_api="blas"):
        classifier.fit(train_NxF.astype(np.float64), train_labels)
        return classifier.predict(validation_MxF.astype(np.float64)).tolist()
