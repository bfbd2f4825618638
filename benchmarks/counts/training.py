"""How often training runs the frozen encoder over its windows: once, however many the epochs."""

import tempfile
from pathlib import Path

from train.config import TrainConfig
from train.loop import train

EPOCHS = 50
SPLITS = 2  # training and validation, each of which is smaller than a batch of the encoder


def encoder_passes(epochs: int = EPOCHS) -> dict[str, int]:
    """Passes over the windows of a short simulation: of a run, and of the same run when it is started once more."""
    with tempfile.TemporaryDirectory() as room:
        config = TrainConfig(
            chronos_model_name="random:tiny",
            simulate_days=3,
            encoder_batch_size=1024,
            batch_size=128,
            projection_hidden_dim=8,
            output_dim=8,
            max_epochs=epochs,
            save_interval=10**6,
            val_interval=10**6,
            evaluate=False,
            output_dir=Path(room) / "run",
        )
        first, second = (train(config).encoder_passes for _ in range(2))
    return {
        f"encoder passes over the windows in {epochs} epochs": -(-first // SPLITS),
        "encoder passes of the run started again": second,
    }
