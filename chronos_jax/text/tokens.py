"""From texts to token ids, by a model's own tokenizer.json."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int32

from chronos_jax.checkpoints.destination import CONFIG
from chronos_jax.checkpoints.errors import CheckpointError
from chronos_jax.checkpoints.sources import read_json
from chronos_jax.text.config import TowerConfig
from chronos_jax.text.sentence_files import LIMIT, TRANSFORMER, SentenceSettings

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
_NAMING_PADDING = (TOKENIZER_CONFIG, "special_tokens_map.json")

_AT_ONCE = 4096
"""Texts that are tokenised together: what the library keeps of a token takes a hundred times the memory of its id."""


class TextTokenizer:
    """A model's tokenizer, with the limit of its length and its padding.

    Attributes:
        max_tokens: The most tokens of a text, special ones included; what is beyond is left out.
        lowercase: Whether texts are lowered first.
        pad_id: The token that stands behind the end of a text.
        content: The bytes of tokenizer.json.
    """

    def __init__(self, folder: Path, config: TowerConfig, settings: SentenceSettings) -> None:
        """Reads the tokenizer of a model's folder.

        Its limit is that of the sentence files or else `model_max_length` of tokenizer_config.json, and never more than
        the model has positions; what tokenizer.json itself says of truncation and padding is how it was last used, and
        is ignored.

        Raises:
            CheckpointError: There is no tokenizer.json, it is damaged, it has no padding token, it knows more tokens
                than the model, or the limit is none that a text fits in.
        """
        from tokenizers import Tokenizer

        path = folder / TOKENIZER
        if not path.is_file():
            raise CheckpointError(
                f"{folder} has no {TOKENIZER}, without which texts cannot be read (other files of tokenizers are never "
                "used): write it with transformers, AutoTokenizer.from_pretrained(SRC).save_pretrained(DST)"
            )
        self.content = path.read_bytes()
        try:
            self._tokenizer = Tokenizer.from_str(self.content.decode())
        except Exception as error:  # the library raises nothing more precise
            raise CheckpointError(f"{path} is no tokenizer that this release of tokenizers reads: {error}") from error
        named = [read_json(folder / name) if (folder / name).exists() else {} for name in _NAMING_PADDING]
        self.lowercase = settings.lowercase
        self.pad_id = _pad_id(self._tokenizer, folder, named, config.pad_token_id)
        known = max(self._tokenizer.get_vocab().values(), default=-1) + 1
        if known > config.vocab_size:
            raise CheckpointError(f"{path} has token ids up to {known - 1}, the model only {config.vocab_size} tokens")
        of_tokenizer = named[0].get("model_max_length")
        self.max_tokens = _limit(self._tokenizer, folder, settings, of_tokenizer, config.max_position_embeddings)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self.max_tokens)

    def __call__(self, texts: Sequence[str]) -> Iterator[Int32[np.ndarray, " s"]]:
        """The token ids of each text, without padding."""
        for first in range(0, len(texts), _AT_ONCE):
            part = [_well_formed(text) for text in texts[first : first + _AT_ONCE]]
            if self.lowercase:
                part = [text.lower() for text in part]
            for encoding in self._tokenizer.encode_batch_fast(part):
                yield np.array(encoding.ids, np.int32)


def _limit(tokenizer: "Tokenizer", folder: Path, settings: SentenceSettings, of_tokenizer: Any, positions: int) -> int:
    """The most tokens of a text: what a folder's files say first, and never more than there are positions."""
    specials, limit = tokenizer.num_special_tokens_to_add(False), positions
    said = [(TRANSFORMER, LIMIT, settings.max_tokens), (TOKENIZER_CONFIG, "model_max_length", of_tokenizer)]
    first = [setting for setting in said if setting[2] is not None][:1]
    for file, key, found in [*first, (CONFIG, "max_position_embeddings", positions)]:
        # Tokenizers without a limit say 1e30; JSON's true would pass for 1.
        whole = type(found) is int or (isinstance(found, float) and found.is_integer())
        if not whole or found <= specials:
            raise CheckpointError(
                f"{folder / file} has {key} {found!r}, expected a whole number of tokens above {specials}, the number "
                "of special tokens in every text: correct it"
            )
        limit = min(limit, int(found))
    return limit


def _pad_id(tokenizer: "Tokenizer", folder: Path, named: Sequence[dict[str, Any]], of_model: int | None) -> int:
    """The padding token that a folder's files name first."""
    for file, content in zip(_NAMING_PADDING, named, strict=True):
        if (said := content.get("pad_token")) is None:
            continue
        token = said.get("content") if isinstance(said, dict) else said
        if not isinstance(token, str):
            raise CheckpointError(
                f"{folder / file} has pad_token {said!r}, expected a token of {TOKENIZER} as a string, or an object "
                'that has it as "content"'
            )
        if (index := tokenizer.token_to_id(token)) is None:
            raise CheckpointError(f"{folder / file} names the padding token {token!r}, which {TOKENIZER} does not know")
        return index
    index = tokenizer.padding["pad_id"] if tokenizer.padding else of_model
    if index is None or tokenizer.id_to_token(index) is None:
        raise CheckpointError(
            f"the tokenizer in {folder} has no padding token, without which texts cannot be embedded side by side: "
            f'name one of its tokens as "pad_token" in {TOKENIZER_CONFIG}'
        )
    return index


def _well_formed(text: str) -> str:
    """The text with halves of surrogate pairs joined or replaced: JSON can hold them alone, UTF-8 cannot."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
