import numpy as np
import pytest

from chronos_jax.checkpoints.fingerprint import fingerprint

SAID, PARAMS, FILE = {"size": 1}, {"a": {"kernel": np.zeros(2, np.float32)}}, b"tokenizer"


@pytest.mark.parametrize(
    ("said", "params", "file"),
    [
        ({"size": 2}, PARAMS, FILE),
        (SAID, {"a": {"kernel": np.array([0, 1], np.float32)}}, FILE),
        (SAID, {"a": {"kernel": np.zeros((1, 2), np.float32)}}, FILE),
        (SAID, {"a": {"kernel": np.zeros(2, np.int32)}}, FILE),
        (SAID, {"b": {"kernel": np.zeros(2, np.float32)}}, FILE),
        (SAID, PARAMS, b"another"),
    ],
)
def test_whatever_differs_gives_another_hash(said: dict, params: dict, file: bytes) -> None:
    assert fingerprint(SAID, PARAMS, FILE) == fingerprint(dict(SAID), {"a": dict(PARAMS["a"])}, FILE)
    assert fingerprint(said, params, file) != fingerprint(SAID, PARAMS, FILE)
