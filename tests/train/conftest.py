"""What several tests of training share: a simulated home, prepared once, and a configuration small enough for tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

from train.config import TrainConfig
from train.prepare import PrepareOptions, prepare


@pytest.fixture(scope="session")
def simulated_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three simulated days as a prepared folder: 160 windows to train on, 52 to validate on, give or take."""
    folder = tmp_path_factory.mktemp("home") / "prepared"
    return prepare(PrepareOptions(simulate=3, output=folder))


@pytest.fixture
def tiny_config(simulated_home: Path, tmp_path: Path) -> Callable[..., TrainConfig]:
    """A run of seconds on that home; keys can be overridden."""

    def make(**keys: object) -> TrainConfig:
        small = {
            "train_data_path": simulated_home,
            "output_dir": tmp_path / "run",
            "encoder": "statistics",
            "batch_size": 16,
            "max_steps": 6,
            "projection_hidden_dim": 16,
            "output_dim": 8,
        }
        return TrainConfig.model_validate(small | keys)

    return make
