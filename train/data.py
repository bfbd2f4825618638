"""The two splits that a run reads, checked before anything expensive starts."""

from pathlib import Path

from train.config import TrainConfig
from train.prepare import PrepareOptions, prepare
from train.processes import on_first
from train.smarthome.dataset import WindowSplit
from train.smarthome.records import open_split, read_header


def open_splits(config: TrainConfig) -> tuple[WindowSplit, WindowSplit]:
    """Training and validation split. Without `train_data_path` a home is simulated first, into output_dir/data.

    Raises:
        FileNotFoundError: Data are not where the configuration says.
        ValueError: A split is empty or too small for a batch, or the splits do not fit each other.
    """
    train_path = config.train_data_path or _simulated(config)
    if train_path.is_file() and config.val_data_path is None:
        raise ValueError(f"val_data_path is missing: {train_path} is one file, and so one split")
    train = open_split(train_path, "train", config.vocab_path, config.sequence_length)
    val_path = config.val_data_path or train_path
    validation = open_split(val_path, "validation", config.vocab_path, config.sequence_length, like=train.header)
    for name, split, path in (("training", train, train_path), ("validation", validation, val_path)):
        if not len(split):
            raise ValueError(f"the {name} split of {path} is empty: there is nothing to learn from or to measure")
    for field in ("vocabulary", "variates", "sequence_length", "layout", "coordinate_bounds"):
        ours, theirs = getattr(train.header, field), getattr(validation.header, field)
        if ours != theirs:
            raise ValueError(
                f"{field} of {train_path} and of {val_path} differ ({_first_difference(ours, theirs)}): the same "
                "number would mean different things. Prepare both with one vocabulary, one length and one home"
            )
    if train.fingerprint == validation.fingerprint:
        raise ValueError(
            f"{train_path} and {val_path} hold the same windows: what is trained on says nothing about other data. "
            "Set val_data_path to windows that are not trained on"
        )
    if config.batch_size > len(train):
        raise ValueError(
            f"batch_size {config.batch_size} is larger than the training split of {len(train)} windows: set it to at "
            f"most {len(train)}"
        )
    return train, validation


def captions_of(split: WindowSplit, config: TrainConfig) -> list[list[str]]:
    """Captions of each window, of the configured types in turn, at most `max_captions`.

    Equal captions are one string in memory: a home's days repeat, and what is said of them does.

    Raises:
        ValueError: Some windows have no caption of these types.
    """
    strings: dict[str, str] = {}
    captions = [
        [strings.setdefault(text, text) for text in _in_turn(kinds)[: config.max_captions]]
        for kinds in split.captions_by_type(config.caption_types)
    ]
    if without := [index for index, texts in enumerate(captions) if not texts]:
        raise ValueError(
            f"{len(without)} of {len(captions)} windows have no caption of types {list(config.caption_types)} "
            f"(the first is window {without[0]}): choose other caption_types or caption them"
        )
    return captions


def _simulated(config: TrainConfig) -> Path:
    folder = config.output_dir / "data"
    options = PrepareOptions(simulate=config.simulate_days, output=folder, seed=config.seed)

    def make() -> None:
        if not folder.exists():
            prepare(options)

    on_first(make)
    stored = read_header(folder).options
    if (stored["simulate"], stored["seed"]) != (options.simulate, options.seed):
        raise ValueError(
            f"{folder} holds {stored['simulate']} days simulated with seed {stored['seed']}, not {options.simulate} "
            f"with seed {options.seed}: give another output_dir, or delete that folder"
        )
    return folder


def _in_turn(kinds: list[list[str]]) -> list[str]:
    # One of each type before the second of any, so that a small max_captions still has all types.
    longest = max(map(len, kinds))
    return [texts[i] for i in range(longest) for texts in kinds if i < len(texts)]


def _first_difference(ours: object, theirs: object) -> str:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        key = next(key for key in [*ours, *theirs] if ours.get(key) != theirs.get(key))
        return f"{key}: {_first_difference(ours.get(key), theirs.get(key))}"
    return f"{ours!r} and {theirs!r}"
