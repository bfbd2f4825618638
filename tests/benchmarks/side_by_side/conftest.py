from pathlib import Path

import pytest
from reference import write_random_checkpoint

from chronos_jax.chronos2.random_weights import SIZES


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the smallest size, in the published format."""
    return write_random_checkpoint(tmp_path_factory.mktemp("tiny"), SIZES["tiny"])
