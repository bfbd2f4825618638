"""Texts through a frozen pretrained encoder: once for each distinct text, kept on disk like the sensor side."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float

from chronos_jax.sharding import make_mesh
from train.config import TrainConfig
from train.encoder import FrozenEncoder
from train.feature_shards import Features
from train.features import FeatureStore
from train.text import PrecomputedEmbeddings, WordVocabulary

BATCHES_AT_ONCE = 8  # the encoder sorts so many batches of texts by length, so that few positions are padding


@dataclass(frozen=True)
class DistinctTexts:
    """Texts as `FeatureStore` takes them."""

    texts: Sequence[str]
    kind = "texts"

    @property
    def fingerprint(self) -> str:
        """Hash of the texts in their order."""
        return hashlib.sha256(json.dumps(list(self.texts)).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.texts)

    def inputs(self, rows: range) -> list[str]:
        """What the encoder takes."""
        return [self.texts[row] for row in rows]


class PretrainedTexts:
    """Texts → embeddings of a pretrained text encoder, which does not train.

    Attributes:
        name: Of the encoder, as configured.
        width: Of its embeddings.
        fingerprint: Hash of everything that they depend on besides the text.
    """

    def __init__(self, config: TrainConfig, store: FeatureStore, mesh: Mesh | None = None) -> None:
        """Loads the encoder that the configuration names, on devices of this process alone.

        Args:
            config: Of the run.
            store: Where embeddings of captions are kept.
            mesh: Of the run: texts are spread over this process's part of it. JAX's default device if None.

        Raises:
            FileNotFoundError, ValueError: As `TextEncoder.from_pretrained`.
        """
        self.name, self._config, self._store = config.text_model_name, config, store
        self._mesh = None if mesh is None else make_mesh({"data": -1, "fsdp": 1, "tensor": 1}, list(mesh.local_devices))
        self._loaded: FrozenEncoder | None = None
        encoder = self._encoder()
        self.fingerprint: str = encoder.identity["weights"]

    def __call__(self, texts: Sequence[str]) -> Float[np.ndarray, "n d"]:
        """Embeddings of any texts."""
        return self._encoder()(list(texts)) if texts else np.empty((0, self.width), np.float32)

    def stored(self, texts: Sequence[str], stop: Callable[[], bool] = lambda: False) -> Features:
        """Embeddings of many distinct texts, read from disk where they are there, else computed by all processes."""
        return self._store.get(DistinctTexts(texts), self._encoder(), stop)

    def release(self) -> None:
        """Frees the encoder's memory on the devices; where it is needed again, it is loaded again."""
        self._loaded = None

    def _encoder(self) -> FrozenEncoder:
        if self._loaded is None:
            from chronos_jax.text.encoder import TextEncoder

            dtype = "bfloat16" if self._config.use_amp else "float32"
            encoder = TextEncoder.from_pretrained(self.name, dtype=dtype, mesh=self._mesh)
            self.width = encoder.width
            batch = self._config.encoder_batch_size
            self._loaded = FrozenEncoder(
                {"encoder": "text", "weights": encoder.fingerprint, "dtype": dtype},
                lambda texts: encoder.embed(texts, batch_size=batch, progress=False),
                BATCHES_AT_ONCE * batch,
            )
        return self._loaded


# What turns texts into rows for the text tower: one row per text, ValueError for a text that cannot become one.
TextInputs = WordVocabulary | PrecomputedEmbeddings | PretrainedTexts
