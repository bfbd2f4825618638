"""A pretrained text encoder: from texts to one vector each."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Float, Float32, Int

from chronos_jax.checkpoints.errors import UnsupportedConfigError
from chronos_jax.checkpoints.fingerprint import fingerprint
from chronos_jax.checkpoints.loading import NUMPY_DTYPES, Dtype, load_params, stored
from chronos_jax.checkpoints.saving import common_dtype
from chronos_jax.checkpoints.sources import load_config, resolve
from chronos_jax.checkpoints.weights import nest
from chronos_jax.families import family_of
from chronos_jax.sharding import batch_shards, named_sharding
from chronos_jax.text.batching import TokenBatch, token_batches
from chronos_jax.text.bert.modeling import BertModel
from chronos_jax.text.clip.config import ClipTextConfig
from chronos_jax.text.clip.modeling import ClipTextModel
from chronos_jax.text.pooling import pool, unit
from chronos_jax.text.sentence_files import MODULES, SentenceSettings, read_sentence_files
from chronos_jax.text.tokens import TextTokenizer
from chronos_jax.text.towers import Tower, tower_of

E = TypeVar("E", bound="TextEncoder")

CPU_TOKENS_PER_BATCH = 1024
"""On a CPU, batches beyond this fall out of cache: MiniLM took a third longer with 4,096 and three times as long with
8,192."""

TOKENS_PER_BATCH = 65536
"""Elsewhere it is memory that ends: of 128 texts of 512 tokens, twelve heads of attention take 1.6 GB."""

BATCHES_IN_FLIGHT = 2
"""The device computes one batch while the host prepares and reads the others."""


class TextEncoder:
    """A text tower with its tokenizer, on its devices.

    Texts of BERTs become vectors as the files of sentence-transformers beside the model say, or, where there are none,
    by the mean over their tokens, which is what that library does then. Those of CLIP are projected and not normalised,
    as `text_embeds` of transformers' CLIPTextModelWithProjection.

    Attributes:
        tower: The model's family, sizes and weight table.
        settings: How hidden states become one vector; without meaning for CLIP but for the limit of tokens.
        tokenizer: The model's own.
        mesh: Devices over which batches are spread; JAX's default device if None.
    """

    def __init__(
        self,
        tower: Tower,
        params: dict[str, Any],
        tokenizer: TextTokenizer,
        settings: SentenceSettings,
        *,
        mesh: Mesh | None = None,
    ) -> None:
        """Puts parameters on the devices, along their logical axes where there is a mesh.

        Raises:
            CheckpointError: Parameters are not those of the tower, or not of one type, listing everything.
        """
        dtype = common_dtype(params, tower.table)
        self.tower, self.tokenizer, self.settings, self.mesh = tower, tokenizer, settings, mesh
        model = nnx.eval_shape(lambda: tower.make(tower.config, dtype=dtype, rngs=nnx.Rngs(0)))
        self._graphdef, self._state = nnx.split(model)
        shardings = nest((weight, named_sharding(mesh, weight.axes)) for weight in tower.table) if mesh else None
        nnx.replace_by_pure_dict(self._state, jax.device_put(params, shardings))
        self._shards = batch_shards(mesh) if mesh else 1
        devices = mesh.devices.flat if mesh else jax.local_devices()
        self._tokens_per_batch = CPU_TOKENS_PER_BATCH if devices[0].platform == "cpu" else TOKENS_PER_BATCH
        self._compiled = jax.jit(self._vectors)

    def __repr__(self) -> str:
        config = self.tower.config
        if isinstance(config, ClipTextConfig):
            kind, result = "CLIP text", f"projected to {config.projection_dim}"
        else:
            kind, result = "BERT", f"{self.settings.pooling} pooling" + ", normalised" * self.settings.normalize
        sizes = f"{config.num_hidden_layers} layers of width {config.hidden_size}"
        return f"TextEncoder({kind}, {sizes}, {result}, at most {self.max_tokens} tokens)"

    @classmethod
    def from_pretrained(
        cls: type[E],
        name_or_folder: str | Path,
        *,
        dtype: str = "float32",
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        mesh: Mesh | None = None,
    ) -> E:
        """Loads a checkpoint and the tokenizer beside it.

        Args:
            name_or_folder: A hub name such as "thenlper/gte-base"; or a folder with config.json, tokenizer.json and
                safetensors, an Orbax checkpoint, or a LoRA adapter (merged).
            dtype: Of parameters and of the wide products, "float32" or "bfloat16"; softmax and norms are float32 in
                any case.
            revision: Branch, tag or commit of the hub repository.
            cache_dir: Where hub downloads are kept, by default the hub's own cache.
            local_files_only: Never ask the hub.
            mesh: Devices over which batches are spread.

        Raises:
            CheckpointError: Nothing usable under this name, files that do not fit together, or no usable tokenizer.
            UnsupportedConfigError: A family, a setting or a way of pooling that is not supported.
            ValueError: No such type.
        """
        if dtype not in NUMPY_DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(NUMPY_DTYPES)}, found {dtype!r}")
        source = resolve(name_or_folder, revision, cache_dir, local_files_only)
        family = family_of(load_config(source), stored(source))
        if family.text is None:
            raise UnsupportedConfigError(f"{source.folder} is a {family.name}, expected an encoder of texts")
        tower = tower_of(family.text)
        folder = (source.base or source).folder
        if isinstance(tower.config, ClipTextConfig) and (folder / MODULES).exists():
            raise UnsupportedConfigError(f"{folder / MODULES}: modules after CLIP's own projection are not supported")
        settings = read_sentence_files(folder)
        tokenizer = TextTokenizer(folder, tower.config, settings)
        params = load_params(source, tower.table, cast(Dtype, dtype), tower.unused)
        return cls(tower, params, tokenizer, settings, mesh=mesh)

    def embed(
        self, texts: Sequence[str], batch_size: int = 256, progress: bool | None = None
    ) -> Float32[np.ndarray, "n d"]:
        """One vector for each text.

        Texts are computed beside others of about their length, in few shapes, so that little is compiled; a vector
        depends on its text alone, to about 1e-6. What is beyond `max_tokens` tokens of a text is left out.

        Args:
            texts: Any number of them.
            batch_size: The most texts computed at once; long ones are fewer.
            progress: Whether a progress bar is shown; by default on a terminal, where there are several batches.

        Returns:
            The vectors in the order of the texts.

        Raises:
            TypeError: No sequence of texts.
            ValueError: A batch size below 1.
        """
        from chronos_jax.progress import progress_bar

        texts = texts if isinstance(texts, str) else list(texts)
        wrong = [texts] if isinstance(texts, str) else [text for text in texts if not isinstance(text, str)]
        if wrong:
            raise TypeError(f"texts must be a list of str, found {wrong[0]!r}")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, found {batch_size}")
        planned = token_batches(
            list(self.tokenizer(texts)),
            limit=self.max_tokens,
            pad_id=self.tokenizer.pad_id,
            batch_size=batch_size,
            tokens_per_batch=self._tokens_per_batch * self._shards,
            shards=self._shards,
        )
        vectors_NxD = np.empty((len(texts), self.width), np.float32)
        pending: list[tuple[TokenBatch, Array]] = []
        bar = progress_bar(show=progress)
        line = bar.add_task("texts", total=len(texts), visible=progress or False)

        def finish() -> None:
            batch, result = pending.pop(0)
            texts_N = batch.texts_N
            vectors_NxD[texts_N] = jax.device_get(result)[: len(texts_N)]
            # What one batch holds is done before anybody could read a bar.
            bar.update(line, advance=len(texts_N), visible=bool(progress) or len(texts_N) < len(texts))

        sharding = named_sharding(self.mesh, ("batch",)) if self.mesh else None
        with bar:
            for batch in planned:
                arrays = jax.device_put((batch.tokens_BxS, batch.lengths_B), sharding)
                pending.append((batch, self._compiled(self._state, *arrays)))
                if len(pending) >= BATCHES_IN_FLIGHT:
                    finish()
            while pending:
                finish()
        return vectors_NxD

    @property
    def width(self) -> int:
        """Width of the vectors."""
        config = self.tower.config
        return config.projection_dim if isinstance(config, ClipTextConfig) else config.hidden_size

    @property
    def max_tokens(self) -> int:
        """The most tokens of a text that the model sees, special ones included."""
        return self.tokenizer.max_tokens

    @property
    def model(self) -> BertModel | ClipTextModel:
        """The model, for use without the tokenizer."""
        return nnx.merge(self._graphdef, self._state)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that a vector depends on besides its text, hexadecimal."""
        said = {
            "config": self.tower.config.to_dict(),
            "settings": self.settings._asdict(),
            "max_tokens": self.max_tokens,
        }
        return fingerprint(said, nnx.to_pure_dict(self._state), self.tokenizer.content)

    def _vectors(
        self, state: nnx.State, tokens_BxS: Int[Array, "b s"], lengths_B: Int[Array, " b"]
    ) -> Float[Array, "b d"]:
        model = nnx.merge(self._graphdef, state)
        hidden_BxSxD = model(tokens_BxS, lengths_B)
        if isinstance(model, ClipTextModel):
            return model.project(hidden_BxSxD, tokens_BxS, lengths_B)
        pooled_BxD = pool(hidden_BxSxD, lengths_B, self.settings.pooling)
        return unit(pooled_BxD) if self.settings.normalize else pooled_BxD
