"""The folder of a run: what it was configured with, and how the trained towers are read back from it."""

import json
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from train.checkpointing import Step, has_checkpoint, load_model
from train.config import TrainConfig, read_config
from train.encoder import FrozenEncoder, load_encoder
from train.processes import say
from train.step import Standardisation
from train.text import BAG_OF_WORDS, PrecomputedEmbeddings, TextInputs, WordVocabulary
from train.towers import AlignmentModel, BagOfWordsTower, ProjectionHead

CONFIG_FILE = "config.json"
TEXT_VOCABULARY_FILE = "text_vocabulary.json"
LIBRARIES = ("chronos-jax", "jax", "flax", "optax", "orbax-checkpoint", "grain", "numpy")


def record_start(config: TrainConfig, inputs: dict[str, Any], text_inputs: TextInputs, *, force: bool = False) -> None:
    """Begins a run (config.json, text vocabulary), or checks that the one that is there can go on with this.

    Until its first checkpoint there is nothing to go on with, and a run begins anew.

    Args:
        config: The resolved configuration; its `output_dir` is the folder.
        inputs: Hashes and identities of what the run reads besides: data, encoder.
        text_inputs: What captions become; a vocabulary is kept with the run, a file of embeddings stays where it is.
        force: Go on although something differs; the folder's config.json then says what it is now.

    Raises:
        ValueError: The folder has a run with another configuration, or made from other data or another encoder, and
            `force` is not set; or its config.json is not a run's.
    """
    path = config.output_dir / CONFIG_FILE
    config = config.with_absolute_paths()
    inputs = inputs | {"texts": text_inputs.fingerprint}
    if path.exists() and "run" not in json.loads(path.read_text()):
        raise ValueError(
            f"{path} is a configuration but no record of a run, which would replace it: move that file elsewhere, or "
            "give another output_dir"
        )
    if has_checkpoint(config.output_dir):
        differences = read_config(path).with_absolute_paths().differences(config)
        stored = json.loads(path.read_text())["run"]["inputs"]
        differences += [
            f"{key}: {stored.get(key)!r} → {inputs[key]!r}" for key in inputs if stored.get(key) != inputs[key]
        ]
        if not differences:
            return
        listed = "\n  ".join(differences)
        if not force:
            raise ValueError(
                f"{config.output_dir} holds a run that began with another configuration or other data:\n  {listed}\n"
                "Give the same ones to continue it, another output_dir to begin a new one, or --force to go on all the "
                "same"
            )
        say(f"going on although the run began with another configuration or other data:\n  {listed}")
    content = config.model_dump(mode="json") | {"run": {"inputs": inputs, "versions": _versions()}}
    config.output_dir.mkdir(parents=True, exist_ok=True)
    if isinstance(text_inputs, WordVocabulary):
        text_inputs.save(config.output_dir / TEXT_VOCABULARY_FILE)
    beside = path.with_suffix(".writing")
    beside.write_text(json.dumps(content, indent=1))
    beside.rename(path)  # last of all: a folder with a config.json is a run that began


def text_inputs_of(config: TrainConfig, captions: list[list[str]]) -> TextInputs:
    """What turns captions into rows for the text tower: a new vocabulary of these captions, or the file configured."""
    if config.text_model_name == BAG_OF_WORDS:
        return WordVocabulary.of(text for texts in captions for text in texts)
    return PrecomputedEmbeddings.load(Path(config.text_model_name))


def make_model(config: TrainConfig, features: int, text_inputs: TextInputs) -> AlignmentModel:
    """Freshly initialised towers for so many features of the encoder and this kind of text."""
    rngs = nnx.Rngs(config.seed)
    hidden, out = config.projection_hidden_dim, config.output_dim
    dtype = jnp.bfloat16 if config.use_amp else jnp.float32
    options: dict[str, Any] = {"dropout": config.projection_dropout, "dtype": dtype, "rngs": rngs}
    sensor = ProjectionHead(features, hidden, out, **options)
    text: BagOfWordsTower | ProjectionHead
    if isinstance(text_inputs, WordVocabulary):
        text = BagOfWordsTower(len(text_inputs.words), hidden, out, **options)
    else:
        width = text_inputs([]).shape[1]
        text = ProjectionHead(width, hidden, out, **options)
    return AlignmentModel(sensor, text, temperature=config.temperature_init, bias=config.bias_init)


@dataclass(frozen=True)
class TrainedRun:
    """The trained towers of a run, ready to embed.

    Attributes:
        config: Resolved configuration of the run.
        step: Steps that were trained when these parameters were saved.
        model: Both towers, logit scale and bias, with the trained parameters.
        standardisation: Mean and deviation of each feature over the training split, applied by `embed_features`.
        text_inputs: From texts to rows for the text tower.
    """

    config: TrainConfig
    step: int
    model: AlignmentModel
    standardisation: Standardisation
    text_inputs: TextInputs

    @property
    def logit_scale(self) -> float:
        """Inverse temperature."""
        return float(self.model.logit_scale())

    @property
    def logit_bias(self) -> float:
        """Bias of the sigmoid losses."""
        return float(self.model.bias[...])

    @cached_property
    def encoder(self) -> FrozenEncoder:
        """The frozen encoder, loaded at first use."""
        return load_encoder(self.config)

    def sensor_features(self, series_BxVxT: Float[np.ndarray, "b v t"]) -> Float[np.ndarray, "b f"]:
        """Windows (B, variates, events; NaN is missing) → raw features, by the frozen encoder."""
        return self.encoder(series_BxVxT)

    def embed_features(self, features_BxF: Float[np.ndarray, "b f"]) -> Float[np.ndarray, "b d"]:
        """Raw features → unit embeddings (B, output_dim), by standardisation and the trained head."""
        return np.asarray(_embed_features(self.model, self.standardisation, jnp.asarray(features_BxF)))

    def embed_series(self, series_BxVxT: Float[np.ndarray, "b v t"]) -> Float[np.ndarray, "b d"]:
        """Windows → unit embeddings (B, output_dim)."""
        return self.embed_features(self.sensor_features(series_BxVxT))

    def embed_texts(self, texts: list[str]) -> Float[np.ndarray, "n d"]:
        """Texts → unit embeddings (n, output_dim), by the trained text tower.

        Raises:
            ValueError: With precomputed text embeddings, a text that their file does not have.
        """
        return np.asarray(_embed_texts(self.model, jnp.asarray(self.text_inputs(texts))))


def load_run(run_dir: Path, step: Step = "best") -> TrainedRun:
    """Reads the trained towers of a run.

    Args:
        run_dir: Folder of the run (its `output_dir`).
        step: "best" for the lowest validation loss, "latest" for the last checkpoint.

    Raises:
        FileNotFoundError: There is no run, or it has no checkpoint.
    """
    if not (run_dir / CONFIG_FILE).is_file():
        raise FileNotFoundError(f"{run_dir} has no {CONFIG_FILE}: it is not the folder of a run")
    config = read_config(run_dir / CONFIG_FILE).model_copy(update={"output_dir": run_dir})
    number, params, standardisation = load_model(run_dir, step)
    text_inputs: TextInputs
    if config.text_model_name == BAG_OF_WORDS:
        text_inputs = WordVocabulary.load(run_dir / TEXT_VOCABULARY_FILE)
    else:
        text_inputs = PrecomputedEmbeddings.load(Path(config.text_model_name))
    model = make_model(config, len(standardisation.mean_F), text_inputs)
    nnx.update(model, nnx.State(params))
    return TrainedRun(config, number, model, standardisation, text_inputs)


@jax.jit
def _embed_features(model: AlignmentModel, standardisation: Standardisation, features_BxF: jax.Array) -> jax.Array:
    return model.embed_sensor(standardisation(features_BxF))


@jax.jit
def _embed_texts(model: AlignmentModel, inputs_BxK: jax.Array) -> jax.Array:
    return model.embed_text(inputs_BxK)


def _versions() -> dict[str, str]:
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # chronos-jax, where it runs from a checkout that is not installed
            versions[name] = "not installed"
    return versions
