"""The runs that a run is compared with: on a simpler encoder, and with other seeds. Trained once, and kept."""

from itertools import count, takewhile
from pathlib import Path
from typing import Any

from train.checkpointing import FOLDER as CHECKPOINTS
from train.config import TrainConfig
from train.loop import train
from train.run import TrainedRun, load_run

BASELINE_FOLDER = "baseline_statistics"
SEEDS_FOLDER = "seeds"


def baseline_of(config: TrainConfig) -> TrainedRun:
    """The run that differs from this one in its encoder alone, the statistics; trained, gone on with or just read."""
    remedy = "train the baseline again, or evaluate without it (--no-baseline)"
    return _again(config, config.output_dir / BASELINE_FOLDER, remedy, encoder="statistics")


def seeded(config: TrainConfig, seed: int) -> TrainedRun:
    """The run that differs from this one in its seed alone, likewise. Both share data and encoders' output."""
    remedy = "train it again, or evaluate with fewer seeds (--seeds)"
    return _again(config, config.output_dir / SEEDS_FOLDER / str(seed), remedy, seed=seed)


def finished_seeds(config: TrainConfig, train_windows: int) -> int:
    """With how many seeds a run is there and trained to its end: its own, and those that follow without a gap."""
    last = str(config.total_steps(train_windows // config.batch_size))
    folder = config.output_dir / SEEDS_FOLDER
    others = (folder / str(seed) / CHECKPOINTS / last for seed in count(config.seed + 1))
    return 1 + sum(1 for _ in takewhile(Path.is_dir, others))


def _again(config: TrainConfig, folder: Path, remedy: str, **changes: Any) -> TrainedRun:
    changes |= {
        "output_dir": folder,
        "features_dir": config.features_dir or config.output_dir / "features",
        # A simulated home lies in the folder of the run: not simulated again, and the same for another seed.
        "train_data_path": config.train_data_path or (config.output_dir / "data").resolve(),
        "use_wandb": False,
    }
    changed = config.model_copy(update=changes)
    try:
        train(changed)
    except ValueError as error:
        raise ValueError(
            f"the run in {folder} cannot be compared with: {error}\nDelete that folder to {remedy}"
        ) from error
    return load_run(folder, config=changed)  # its paths hold, should everything have been moved
