"""A trained run for tests that ask it something."""

from pathlib import Path

from train.config import TrainConfig
from train.loop import train


def small_run(home: Path, folder: Path, **keys: object) -> Path:
    """Trains a few steps on the statistics of a prepared home, into this folder."""
    config = {
        "train_data_path": home,
        "output_dir": folder,
        "encoder": "statistics",
        "batch_size": 16,
        "max_steps": 6,
        "projection_hidden_dim": 16,
        "output_dim": 8,
        "encoder_batch_size": 32,
    }
    train(TrainConfig.model_validate(config | keys))
    return folder
