"""Texts through a frozen pretrained encoder: once for each distinct text, kept on disk like the sensor side."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float

from chronos_jax.sharding import make_mesh
from train.config import TrainConfig
from train.encoder import FrozenEncoder
from train.feature_shards import Features
from train.features import FeatureStore
from train.text import PrecomputedEmbeddings, WordVocabulary

# Raised when the numbers change that a given encoder makes of a given text, so that stored ones are not mistaken.
TEXTS_VERSION = 1
BATCHES_AT_ONCE = 8  # the encoder sorts so many batches of texts by length, so that few positions are padding


@dataclass(frozen=True)
class DistinctTexts:
    """Texts as `FeatureStore` takes them."""

    texts: Sequence[str]
    kind = "texts"

    @property
    def fingerprint(self) -> str:
        """Hash of the texts in their order."""
        return _hash(list(self.texts))

    def __len__(self) -> int:
        return len(self.texts)

    def inputs(self, rows: range) -> list[str]:
        """What the encoder takes."""
        return [self.texts[row] for row in rows]


class Recorded(NamedTuple):
    """What a run knows of the text encoder that it was trained with: width of the embeddings, and the fingerprint."""

    width: int
    fingerprint: str


class PretrainedTexts:
    """Texts → embeddings of a pretrained text encoder, which does not train.

    The encoder is on devices of this process alone.

    Attributes:
        name: Of the encoder, as configured.
        width: Of its embeddings.
        fingerprint: Hash of everything that they depend on besides the text.
    """

    def __init__(
        self, config: TrainConfig, store: FeatureStore, mesh: Mesh | None = None, recorded: Recorded | None = None
    ) -> None:
        """Loads the encoder that the configuration names.

        Args:
            config: Of the run.
            store: Where embeddings of captions are kept.
            mesh: Of the run: texts are spread over this process's part of it. JAX's default device if None.
            recorded: Of a run that is there: the encoder is loaded when the first text comes, and has to be this one.

        Raises:
            FileNotFoundError, ValueError: As `TextEncoder.from_pretrained`; of a recorded one, with the first text.
        """
        self.name, self._config, self._store = config.text_model_name, config, store
        self._mesh = None if mesh is None else make_mesh({"data": -1, "fsdp": 1, "tensor": 1}, list(mesh.local_devices))
        self._loaded: FrozenEncoder | None = None
        if recorded is None:
            self._loaded, recorded = self._load()
        self.width, self.fingerprint = recorded

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
            encoder, found = self._load()
            if found != (self.width, self.fingerprint):
                raise ValueError(
                    f"the text encoder {self.name} is not the one that the run was trained with (width and hash "
                    f"{self.width}, {self.fingerprint[:12]} → {found.width}, {found.fingerprint[:12]}): put that back"
                )
            self._loaded = encoder
        return self._loaded

    def _load(self) -> tuple[FrozenEncoder, Recorded]:
        from chronos_jax.text.encoder import TextEncoder

        dtype = "bfloat16" if self._config.use_amp else "float32"
        encoder = TextEncoder.from_pretrained(self.name, dtype=dtype, mesh=self._mesh)
        identity = {"encoder": "text", "weights": encoder.fingerprint, "dtype": dtype, "version": TEXTS_VERSION}
        batch = self._config.encoder_batch_size
        frozen = FrozenEncoder(
            identity,
            lambda texts: encoder.embed(texts, batch_size=batch, progress=False),
            BATCHES_AT_ONCE * batch,
        )
        return frozen, Recorded(encoder.width, _hash(identity))


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


# What turns texts into rows for the text tower: one row per text, ValueError for a text that cannot become one.
TextInputs = WordVocabulary | PrecomputedEmbeddings | PretrainedTexts
