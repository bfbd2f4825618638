"""The configuration of a training run: one flat set of keys, read from JSON and overridden by command-line options."""

import difflib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo

from train.negatives import Strategy
from train.text import BAG_OF_WORDS
from train.towers import MAX_LOGIT_SCALE

# Keys that may change between the start of a run and its continuation: none of them alters a number of the run by more
# than rounding. Data may have moved: that they are the same is told by their fingerprints.
MAY_CHANGE = (
    *("output_dir", "features_dir", "train_data_path", "val_data_path", "vocab_path"),
    *("mesh", "loss_implementation", "num_workers", "encoder_batch_size"),
    *("log_interval", "keep_last", "keep_every", "evaluate", "profile"),
    *("use_wandb", "wandb_project", "wandb_entity", "wandb_run_name", "wandb_tags", "wandb_mode"),
)

CaptionType = Literal["long", "short"]


class MeshShape(BaseModel):
    """Sizes of the mesh axes; one of them may be -1, for all devices that remain."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: int = Field(-1, description="Devices that see different windows.")
    fsdp: int = Field(1, description="Devices that see different windows and share parameters and optimiser state.")
    tensor: int = Field(1, description="Devices that share the hidden width.")


class TrainConfig(BaseModel):
    """Every key of a configuration file; each is also an option, as in `--learning_rate 1e-3`."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    # Data
    train_data_path: Path | None = Field(
        None, description="Folder made by train.prepare, or a JSON file of windows. Without it a home is simulated."
    )
    val_data_path: Path | None = Field(
        None,
        description="Validation data in the same form. Default: the other split of the same folder.",
    )
    vocab_path: Path | None = Field(None, description="Vocabulary for JSON files of windows: {field: {value: index}}.")
    sequence_length: int | None = Field(None, ge=1, description="Events per window. Default: as the data has them.")
    simulate_days: int = Field(30, ge=3, description="Days simulated where there is no train_data_path.")
    caption_types: tuple[CaptionType, ...] = Field(("long", "short"), description="Kinds of captions to learn from.")
    max_captions: int = Field(4, ge=1, description="At most so many captions per window; each epoch draws one of them.")
    num_workers: int = Field(0, ge=0, description="Processes that read batches; 0 reads in this one.")

    # Encoder (frozen)
    encoder: Literal["chronos2", "statistics"] = Field("chronos2", description="What turns a window into features.")
    chronos_model_name: str = Field(
        "random:chronos-2-small",
        description="Hub name, folder, or random:tiny, random:chronos-2-small, random:chronos-2 (@SEED may follow).",
    )
    pooling: Literal["mean", "max", "reg", "last"] = Field("mean", description="Over the positions of a variate.")
    variate_pooling: Literal["concat", "mean"] = Field("concat", description="Over the five variates of a window.")
    layer: int = Field(-1, description="Encoder layer whose output is taken; -1 is the last.")
    include_loc_scale: bool = Field(
        True, description="Append level and spread of each variate, which the encoder's instance norm takes away."
    )
    encoder_batch_size: int = Field(256, ge=1, description="Windows per pass of the encoder.")
    features_dir: Path | None = Field(None, description="Where encoder output is kept. Default: output_dir/features.")

    # Towers
    text_model_name: str = Field(
        BAG_OF_WORDS,
        min_length=1,
        description="bag-of-words; a frozen encoder (BERT family, CLIP) by hub name or folder, such as "
        "thenlper/gte-base; or a file of text embeddings (.npz, .safetensors).",
    )
    projection_hidden_dim: int = Field(256, ge=1, description="Hidden width of the projection heads.")
    projection_dropout: float = Field(0.1, ge=0, lt=1, description="Dropout in the projection heads.")
    output_dim: int = Field(512, ge=1, description="Width of the space that both towers share.")
    use_amp: bool = Field(False, description="Encoder and matrix products of the towers in bfloat16.")

    # Loss
    loss: Literal["infonce", "sigmoid", "focal_sigmoid"] = Field(
        "infonce", validation_alias=AliasChoices("loss", "loss_type"), description="Contrastive loss."
    )
    loss_implementation: Literal["auto", "plain", "ring", "tiles"] = Field(
        "auto",
        description="plain holds the global matrix of logits; ring, between devices, and tiles, inside them too, do "
        "not. auto: the first of these that fits.",
    )
    multi_positive: bool = Field(True, description="A caption fits every window that has it, not only the one drawn.")
    focal_gamma: float = Field(2.0, ge=0, description="Exponent of focal_sigmoid.")
    temperature_init: float = Field(0.07, ge=1 / MAX_LOGIT_SCALE, description="Initial temperature.")
    learnable_temperature: bool = Field(True, description="Whether the temperature trains.")
    bias_init: float = Field(-10.0, description="Initial bias of the sigmoid losses.")
    use_hard_negatives: bool = Field(False, description="Contrast with texts of earlier batches too.")
    hard_negative_memory_size: int = Field(
        4096,
        ge=1,
        validation_alias=AliasChoices("hard_negative_memory_size", "hard_negative_queue_size"),
        description="Texts remembered.",
    )
    hard_negative_ratio: float = Field(0.5, gt=0, description="Texts drawn per window, as a share of batch_size.")
    hard_negative_strategy: Strategy = Field(
        "mixed",
        validation_alias=AliasChoices("hard_negative_strategy", "hard_negative_sampling"),
        description="How they are drawn; mixed is half by similarity, half at random.",
    )
    hard_negative_temperature: float = Field(
        0.1,
        gt=0,
        validation_alias=AliasChoices("hard_negative_temperature", "hard_negative_sampling_temperature"),
        description="Of the draw by similarity: lower is harder.",
    )

    # Optimisation
    batch_size: int = Field(256, ge=2, description="Windows per step, over all devices and processes.")
    max_epochs: int | None = Field(None, ge=1, description="Length of the run; 20 where max_steps is not given either.")
    max_steps: int | None = Field(None, ge=1, description="Length of the run; with max_epochs the shorter one counts.")
    learning_rate: float = Field(1e-3, gt=0, description="Peak, after warm-up.")
    betas: tuple[float, float] = Field((0.9, 0.98), description="AdamW.")
    weight_decay: float = Field(0.01, ge=0, description="AdamW; of matrices only.")
    warmup_ratio: float = Field(0.1, ge=0, lt=1, description="Share of the steps that warm up.")
    grad_clip_norm: float = Field(1.0, ge=0, description="Largest global norm of a gradient; 0: no clipping.")
    seed: int = Field(0, ge=0, lt=2**32, description="Of initialisation, dropout, shuffling and the draw of captions.")

    mesh: MeshShape = Field(MeshShape(), description="How the devices of all processes are laid out.")

    # What is written, and when (intervals in steps)
    output_dir: Path = Field(Path("runs/default"), description="The run's folder; started again on it, a run resumes.")
    log_interval: int = Field(10, ge=1, description="Steps between lines of metrics.")
    val_interval: int | None = Field(None, ge=1, description="Steps between validations. Default: every epoch.")
    save_interval: int | None = Field(None, ge=1, description="Steps between checkpoints. Default: with validation.")
    keep_last: int = Field(2, ge=1, description="Checkpoints kept besides the best.")
    keep_every: int | None = Field(None, ge=1, description="Checkpoints of steps divisible by this are kept, too.")
    evaluate: bool = Field(
        True, description="Measure the run at its end, as python -m train.evaluate does; one process only."
    )
    profile: bool = Field(False, description="Write an XProf trace of a few steps into output_dir/profile.")
    use_wandb: bool = Field(False, description="Send metrics to Weights & Biases (extra: wandb).")
    wandb_project: str = Field("chronos-jax", description="Weights & Biases project.")
    wandb_entity: str | None = Field(None, description="Weights & Biases team or user.")
    wandb_run_name: str | None = Field(
        None,
        validation_alias=AliasChoices("wandb_run_name", "wandb_name"),
        description="Weights & Biases run name. Default: name of output_dir.",
    )
    wandb_tags: tuple[str, ...] = Field((), description="Weights & Biases tags.")
    wandb_mode: Literal["online", "offline", "disabled"] = Field("online", description="Weights & Biases mode.")

    @field_validator("caption_types", mode="before")
    @classmethod
    def _one_word_for_caption_types(cls, value: Any) -> Any:
        if value == "both":
            return ("long", "short")
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _each_key_once(cls, values: Any) -> Any:
        for name, field in cls.model_fields.items():
            spellings = [spelling for spelling in _spellings(name, field) if spelling in values]
            if len(spellings) > 1:
                raise ValueError(f"{' and '.join(spellings)} are one key given twice: leave one of them out")
        return values

    @model_validator(mode="after")
    def _check_together(self) -> "TrainConfig":
        if not self.caption_types:
            raise ValueError("caption_types is empty: name 'long', 'short' or both")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas {self.betas}: each must be at least 0 and below 1")
        if self.use_hard_negatives and self.hard_negative_memory_size < self.hard_negative_count:
            raise ValueError(
                f"hard_negative_memory_size {self.hard_negative_memory_size} is less than the "
                f"{self.hard_negative_count} texts drawn per window (hard_negative_ratio × batch_size)"
            )
        return self

    @property
    def has_file_of_embeddings(self) -> bool:
        """Whether text_model_name is a file, not an encoder."""
        return Path(self.text_model_name).suffix in (".npz", ".safetensors")

    @property
    def hard_negative_count(self) -> int:
        """Texts of the memory that each window is contrasted with."""
        return max(1, round(self.hard_negative_ratio * self.batch_size))

    def total_steps(self, steps_per_epoch: int) -> int:
        """Steps from the beginning to the end of the run."""
        epochs = self.max_epochs or (20 if self.max_steps is None else math.inf)
        return int(min(self.max_steps or math.inf, epochs * steps_per_epoch))

    def with_absolute_paths(self) -> "TrainConfig":
        """The same configuration, for any working directory."""
        keys = ("output_dir", "features_dir", "train_data_path", "val_data_path", "vocab_path")
        absolute: dict[str, Any] = {key: path.resolve() for key in keys if (path := getattr(self, key)) is not None}
        if self.has_file_of_embeddings or Path(self.text_model_name).is_dir():
            absolute["text_model_name"] = str(Path(self.text_model_name).resolve())
        return self.model_copy(update=absolute)

    def differences(self, other: "TrainConfig") -> list[str]:
        """Keys that alter the numbers of a run and differ: "key: here → there"."""
        here, there = self.model_dump(mode="json"), other.model_dump(mode="json")
        return [
            f"{key}: {here[key]!r} → {there[key]!r}"
            for key in here
            if key not in MAY_CHANGE and here[key] != there[key]
        ]


def read_config(path: Path) -> TrainConfig:
    """Reads a JSON file of configuration keys; also config.json of a run, whose further key "run" is left out.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not one flat JSON object, or a key or a value is wrong; every problem is listed.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no configuration file at {path}")
    try:
        values = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} must hold one JSON object of keys and values, not a {type(values).__name__}")
    values.pop("run", None)
    return make_config(values, source=str(path))


def make_config(values: Mapping[str, Any], source: str = "configuration") -> TrainConfig:
    """Checks keys and values; problems are listed in one ValueError that begins with `source`."""
    try:
        return TrainConfig.model_validate(values)
    except ValidationError as error:
        raise ValueError(f"{source}:\n  " + "\n  ".join(describe(error))) from error


def describe(error: ValidationError) -> list[str]:
    """One line per problem; an unknown key comes with the nearest known one."""
    lines = []
    for problem in error.errors():
        key = ".".join(map(str, problem["loc"]))
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(key, _known_keys(), n=1, cutoff=0.0)[0]
            lines.append(f"unknown key {key!r}: the nearest known one is {near!r}")
        elif not key:
            lines.append(str(problem["ctx"]["error"]))
        else:
            lines.append(f"{key}: {problem['msg']}, got {problem['input']!r}")
    return lines


def _known_keys() -> list[str]:
    keys = [spelling for name, field in TrainConfig.model_fields.items() for spelling in _spellings(name, field)]
    return keys + [f"mesh.{axis}" for axis in MeshShape.model_fields]


def _spellings(name: str, field: FieldInfo) -> list[str]:
    alias = field.validation_alias
    return [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else [name]
