"""The towers of a run: how they are made, and how the trained ones are read back from its folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Float

from train.checkpointing import Step, has_checkpoint, load_model
from train.config import TrainConfig, read_config
from train.encoder import FrozenEncoder, load_encoder
from train.features import FeatureStore
from train.run_record import CONFIG_FILE, read_record, read_vocabulary
from train.step import Standardisation
from train.text import BAG_OF_WORDS, PrecomputedEmbeddings, WordVocabulary
from train.text_encoder import PretrainedTexts, Recorded, TextInputs
from train.towers import AlignmentModel, BagOfWordsTower, ProjectionHead


def feature_store(config: TrainConfig) -> FeatureStore:
    """Where the output of the run's frozen encoders is kept."""
    return FeatureStore(config.features_dir or config.output_dir / "features", config.num_workers)


def text_inputs_of(config: TrainConfig, captions: list[list[str]], mesh: Mesh | None = None) -> TextInputs:
    """What turns captions into rows for the text tower: a new vocabulary of these captions, or what is configured."""
    if config.text_model_name == BAG_OF_WORDS:
        return WordVocabulary.of(text for texts in captions for text in texts)
    if config.has_file_of_embeddings:
        return PrecomputedEmbeddings.load(Path(config.text_model_name))
    return PretrainedTexts(config, feature_store(config), mesh)


def make_model(config: TrainConfig, features: int, text_inputs: TextInputs) -> AlignmentModel:
    """Freshly initialised towers for so many features of the encoder and this kind of text."""
    hidden, out = config.projection_hidden_dim, config.output_dim
    dtype = jnp.bfloat16 if config.use_amp else jnp.float32

    @nnx.jit  # one program; outside of one each of two dozen operations is a program of its own
    def towers() -> AlignmentModel:
        options: dict[str, Any] = {"dropout": config.projection_dropout, "dtype": dtype, "rngs": nnx.Rngs(config.seed)}
        sensor = ProjectionHead(features, hidden, out, **options)
        text: BagOfWordsTower | ProjectionHead
        if isinstance(text_inputs, WordVocabulary):
            text = BagOfWordsTower(len(text_inputs.words), hidden, out, **options)
        else:
            text = ProjectionHead(text_inputs.width, hidden, out, **options)
        return AlignmentModel(sensor, text, temperature=config.temperature_init, bias=config.bias_init)

    return towers()


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

    def embed_texts(self, texts: list[str], keep: bool = False) -> Float[np.ndarray, "n d"]:
        """Texts → unit embeddings (n, output_dim), by the trained text tower.

        Args:
            texts: Any.
            keep: Whether a pretrained encoder's output is kept on disk and read from there: for distinct captions of a
                split, which are asked for again.

        Raises:
            ValueError: With precomputed text embeddings, a text that their file does not have.
        """
        if keep and texts and isinstance(self.text_inputs, PretrainedTexts):
            rows = self.text_inputs.stored(texts)[np.arange(len(texts))]
        else:
            rows = self.text_inputs(texts)
        return np.asarray(_embed_texts(self.model, jnp.asarray(rows)))

    def embed_labels(self, wordings: Mapping[str, Sequence[str]]) -> Float[np.ndarray, "l d"]:
        """Label → several wordings becomes one unit embedding per label: the mean of its wordings' unit embeddings.

        Args:
            wordings: Label → at least one text. The result has its order.

        Raises:
            ValueError: A label without a wording; or as `embed_texts`.
        """
        if bare := [label for label, texts in wordings.items() if not texts]:
            raise ValueError(f"labels without description: {', '.join(bare)}. Give each at least one text")
        texts_TxD = self.embed_texts([text for texts in wordings.values() for text in texts])
        counts = [len(texts) for texts in wordings.values()]
        starts = np.cumsum([0, *counts[:-1]])
        mean_LxD = np.add.reduceat(texts_TxD, starts, axis=0) if counts else texts_TxD
        return mean_LxD / np.maximum(np.linalg.norm(mean_LxD, axis=1, keepdims=True), 1e-12)


def load_run(run_dir: Path, step: Step = "best", config: TrainConfig | None = None) -> TrainedRun:
    """Reads the trained towers of a run.

    Args:
        run_dir: Folder of the run (its `output_dir`).
        step: "best" for the lowest validation loss, "latest" for the last checkpoint.
        config: The run's configuration with paths as they are now; by default as recorded, but for the folder itself.

    Raises:
        FileNotFoundError: There is no run, or it has no checkpoint, or a file of it is missing.
        ValueError: A file of it is damaged.
    """
    if (record := read_record(run_dir)) is None:
        missing = "put it back" if has_checkpoint(run_dir) else "it is not the folder of a run"
        raise FileNotFoundError(f"{run_dir} has no {CONFIG_FILE}: {missing}")
    if config is None:
        config = read_config(run_dir / CONFIG_FILE).model_copy(update={"output_dir": run_dir})
    number, params, standardisation = load_model(run_dir, step)
    text_inputs = _trained_text_inputs(config, params, record["run"]["inputs"].get("texts", ""))
    model = nnx.eval_shape(lambda: make_model(config, len(standardisation.mean_F), text_inputs))
    nnx.update(model, nnx.State(params))
    return TrainedRun(config, number, model, standardisation, text_inputs)


def _trained_text_inputs(config: TrainConfig, params: Any, fingerprint: str) -> TextInputs:
    """What turned texts into rows when the run was trained. Raises ValueError where it is another one now."""
    if config.text_model_name == BAG_OF_WORDS:
        words = read_vocabulary(config.output_dir)
        if fingerprint not in ("", words.fingerprint):
            raise ValueError(
                f"the words in {config.output_dir} are not those that the run was trained with: start the run again "
                "with its command, which writes them again"
            )
        return words
    width = len(params["text"]["linear_in"]["kernel"])
    if not config.has_file_of_embeddings:
        recorded = Recorded(width, fingerprint) if fingerprint else None
        return PretrainedTexts(config, feature_store(config), recorded=recorded)
    embeddings = PrecomputedEmbeddings.load(Path(config.text_model_name))
    if embeddings.width != width or fingerprint not in ("", embeddings.fingerprint):
        raise ValueError(
            f"the text embeddings in {config.text_model_name}, of width {embeddings.width}, are not those that "
            f"{config.output_dir} was trained on, of width {width}: put those back"
        )
    return embeddings


@jax.jit
def _embed_features(model: AlignmentModel, standardisation: Standardisation, features_BxF: jax.Array) -> jax.Array:
    return model.embed_sensor(standardisation(features_BxF))


@jax.jit
def _embed_texts(model: AlignmentModel, inputs_BxK: jax.Array) -> jax.Array:
    return model.embed_text(inputs_BxK)
