"""From captions to what a text tower takes: word numbers of an own vocabulary, or embeddings computed elsewhere."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from zipfile import is_zipfile

import numpy as np
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open

from train.smarthome.files import read_json

PADDING = 0  # word number of no word
UNKNOWN = 1  # word number of every word that the training captions do not have
RESERVED = ("[PAD]", "[UNK]")

BAG_OF_WORDS = "bag-of-words"


@dataclass(frozen=True)
class WordVocabulary:
    """Words of the training captions, most frequent first, and the longest caption it was made from.

    Attributes:
        words: Lower-case words; the word at position i has number i, the first two are padding and unknown.
        max_words: Words of the longest of those captions.
    """

    words: tuple[str, ...]
    max_words: int

    @classmethod
    def of(cls, texts: Iterable[str]) -> "WordVocabulary":
        """The vocabulary of these texts. Equal counts are ordered by spelling, so that it is the same every time."""
        split = [_words(text) for text in texts]
        counts = Counter(word for words in split for word in words)
        ordered = sorted(counts, key=lambda word: (-counts[word], word))
        return cls((*RESERVED, *ordered), max(map(len, split), default=1))

    @classmethod
    def load(cls, path: Path) -> "WordVocabulary":
        """Reads what `save` wrote."""
        stored = json.loads(path.read_text())
        return cls(tuple(stored["words"]), stored["max_words"])

    def save(self, path: Path) -> None:
        """Writes JSON: {"words": [...], "max_words": n}."""
        path.write_text(json.dumps({"words": self.words, "max_words": self.max_words}, indent=1))

    def __call__(self, texts: Sequence[str]) -> Int[np.ndarray, "n k"]:
        """Word numbers (n, max_words) or, where one of the texts is longer, (n, its words), padded behind."""
        numbers = [[self._numbers.get(word, UNKNOWN) for word in _words(text)] for text in texts]
        rows = np.full((len(texts), max([self.max_words, *map(len, numbers)])), PADDING, np.int32)
        for row, own in zip(rows, numbers, strict=True):
            row[: len(own)] = own
        return rows

    def unknown(self, text: str) -> list[str]:
        """Words of a text that are not in the vocabulary."""
        return [word for word in _words(text) if word not in self._numbers]

    @property
    def fingerprint(self) -> str:
        """Hash of the words and the length."""
        return hashlib.sha256(json.dumps([self.words, self.max_words]).encode()).hexdigest()

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words)}


@dataclass(frozen=True)
class PrecomputedEmbeddings:
    """Texts and their embeddings, read from a file that any text encoder can have written.

    The file is NPZ or safetensors and holds one array "embeddings" (n, d). The n texts are a JSON list of strings: in
    a file beside it with the same name and the ending .json, or, in an NPZ, in an array of strings "texts".
    """

    path: Path
    rows: dict[str, int]
    embeddings_NxD: Float[np.ndarray, "n d"]

    @classmethod
    def load(cls, path: Path) -> "PrecomputedEmbeddings":
        """Reads such a file.

        Raises:
            FileNotFoundError: The file, or the list of texts, is not there.
            ValueError: It is not in the form above, with what is wrong.
        """
        if not path.is_file():
            raise FileNotFoundError(f"text_model_name: no file of text embeddings at {path}")
        embeddings, texts = _read_npz(path) if path.suffix == ".npz" else _read_safetensors(path)
        if embeddings.ndim != 2 or not np.issubdtype(embeddings.dtype, np.floating):
            raise ValueError(
                f"{path}: 'embeddings' must be floats of shape (texts, width), got "
                f"{embeddings.dtype} {embeddings.shape}"
            )
        if texts is None:
            texts = read_json(path.with_suffix(".json"), f"list of the texts that are embedded in {path}:")
        if not isinstance(texts, list):
            raise ValueError(f"{path}: its texts must be a JSON list of strings, got a {type(texts).__name__}")
        if len(texts) != len(embeddings) or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"{path}: {len(embeddings)} embeddings need as many texts (strings), got {len(texts)}")
        if not np.isfinite(embeddings).all():
            raise ValueError(f"{path}: some embeddings are not finite")
        return cls(path, {text: row for row, text in enumerate(texts)}, embeddings.astype(np.float32))

    @property
    def width(self) -> int:
        """Of the embeddings."""
        return self.embeddings_NxD.shape[1]

    def __call__(self, texts: Sequence[str]) -> Float[np.ndarray, "n d"]:
        """The stored embeddings of these texts.

        Raises:
            ValueError: Some are not in the file.
        """
        if absent := [text for text in dict.fromkeys(texts) if text not in self.rows]:
            raise ValueError(
                f"{self.path} has no embedding for {len(absent)} of {len(set(texts))} texts, such as {absent[0]!r}: "
                "embed them with the same encoder and write the file again"
            )
        return self.embeddings_NxD[[self.rows[text] for text in texts]]

    @property
    def fingerprint(self) -> str:
        """Hash of the texts and their embeddings."""
        digest = hashlib.sha256(json.dumps(list(self.rows)).encode())
        digest.update(np.ascontiguousarray(self.embeddings_NxD).data)
        return digest.hexdigest()


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _read_npz(path: Path) -> tuple[np.ndarray, list[str] | None]:
    if not is_zipfile(path):
        raise ValueError(f"{path} is no NPZ file: expected one with an array 'embeddings' (and 'texts')")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            texts = [str(text) for text in arrays["texts"]] if "texts" in arrays else None
            return arrays["embeddings"], texts
    except (ValueError, KeyError, OSError) as error:
        raise ValueError(f"{path} is not an NPZ file with an array 'embeddings' (and 'texts'): {error}") from error


def _read_safetensors(path: Path) -> tuple[np.ndarray, None]:
    try:
        with safe_open(path, framework="numpy") as tensors:
            return tensors.get_tensor("embeddings"), None
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file with a tensor 'embeddings': {error}") from error
