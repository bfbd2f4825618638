"""What the files beside a text encoder's weights say, found to be in order."""

from typing import Any

from chronos_jax.checkpoints.sources import Source
from chronos_jax.families import Family


def describe_text_files(source: Source, family: Family) -> dict[str, Any] | None:
    """Tokenizer and pooling of a text encoder; None for other families.

    Returns:
        "vocabulary" (tokens that the tokenizer knows), "max_tokens" (of a text, special ones included), "pooling" and
        "normalize".

    Raises:
        CheckpointError: There is no usable tokenizer, or a file is damaged or absent.
        UnsupportedConfigError: A module or a pooling that is not supported.
    """
    if family.text is None:
        return None
    from tokenizers import Tokenizer

    from chronos_jax.text.sentence_files import read_sentence_files
    from chronos_jax.text.tokens import TextTokenizer

    folder = (source.base or source).folder
    settings = read_sentence_files(folder)
    tokenizer = TextTokenizer(folder, family.text, settings)
    projected = family.name == "CLIP text"
    return {
        "vocabulary": Tokenizer.from_str(tokenizer.content.decode()).get_vocab_size(),
        "max_tokens": tokenizer.max_tokens,
        "pooling": "end of text, projected" if projected else settings.pooling,
        "normalize": settings.normalize and not projected,
    }
