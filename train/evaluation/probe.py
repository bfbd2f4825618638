"""Probes: what a simple classifier can read from frozen features."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

ITERATIONS = 2000  # far more than convergence was seen to take
NEIGHBOURS = 20
TEMPERATURE = 0.07  # of the neighbours' votes


class Probe:
    """A classifier on features, whose numbers depend neither on a random state nor on the number of cores."""

    def __init__(self, classifier: Pipeline, train_NxF: Float[np.ndarray, "n f"], train_labels: Sequence[str]) -> None:
        """Fits it to training features.

        Raises:
            ValueError: The training windows have a single label, which leaves nothing to learn.
        """
        if len(set(train_labels)) < 2:
            raise ValueError(f"a probe needs at least 2 labels among the training windows, found {set(train_labels)}")
        self._classifier = classifier
        # Products this small are 10 to 20 times slower on several threads that wait for each other, and what is summed
        # in another order on another number of cores would give other numbers.
        with threadpool_limits(1):
            classifier.fit(train_NxF.astype(np.float64), train_labels)

    def __call__(self, features_MxF: Float[np.ndarray, "m f"]) -> list[str]:
        """The label predicted for each window."""
        with threadpool_limits(1):
            return self._classifier.predict(features_MxF.astype(np.float64)).tolist()


def linear_probe(train_NxF: Float[np.ndarray, "n f"], train_labels: Sequence[str]) -> Probe:
    """Logistic regression: scikit-learn's, with its default L2 penalty.

    Features are scaled to mean 0 and deviation 1 over the training windows.

    Raises:
        ValueError: As `Probe`.
    """
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=ITERATIONS))
    return Probe(classifier, train_NxF, train_labels)


def neighbours_probe(train_NxF: Float[np.ndarray, "n f"], train_labels: Sequence[str], *, standardise: bool) -> Probe:
    """The labels of the 20 training windows most similar by cosine, each with a vote of exp(similarity / 0.07).

    Neither number is tuned, as training windows overlap and would choose the nearest neighbour alone. They are those of
    Wu et al., "Unsupervised Feature Learning via Non-Parametric Instance Discrimination" (2018), with fewer neighbours,
    as homes have fewer windows than there are photographs.

    Args:
        train_NxF: Features of training windows.
        train_labels: Their labels.
        standardise: Whether to scale features to mean 0 and deviation 1 first: for those of an encoder, whose angles
            are mostly those of their means, but not for embeddings that were trained to be compared by cosine.

    Raises:
        ValueError: As `Probe`.
    """
    classifier = KNeighborsClassifier(
        min(NEIGHBOURS, len(train_labels)),
        metric="cosine",
        weights=_votes,
        algorithm="brute",
    )
    steps = [StandardScaler(), classifier] if standardise else [classifier]
    return Probe(make_pipeline(*steps), train_NxF, train_labels)


def _votes(distance_MxK: Float[np.ndarray, "m k"]) -> Float[np.ndarray, "m k"]:
    return np.exp(-distance_MxK / TEMPERATURE)
