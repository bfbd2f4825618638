"""What lies beside the weights of a text encoder, and without which they are of no use: tokenizer and pooling."""

from fnmatch import fnmatchcase
from pathlib import Path

COMPANIONS = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "[0-9]_Pooling/config.json",
)
"""Places in a checkpoint's folder, as patterns of `fnmatch`; the last is how sentence-transformers numbers modules."""


def is_companion(place: str) -> bool:
    """Whether a file at this place in a checkpoint's folder belongs to it ("1_Pooling/config.json")."""
    return any(fnmatchcase(place, pattern) for pattern in COMPANIONS)


def companions_in(folder: Path) -> dict[str, Path]:
    """The companions of a checkpoint, by their place in its folder."""
    return {
        path.relative_to(folder).as_posix(): path
        for pattern in COMPANIONS
        for path in sorted(folder.glob(pattern))
        if path.is_file()
    }
