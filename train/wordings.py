"""Texts that people write for a trained run: queries, and descriptions of labels."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from train.smarthome.files import read_json
from train.text import UNKNOWN, PrecomputedEmbeddings, WordVocabulary
from train.text_encoder import TextInputs

NAMED = 5  # how many words a message names


def read_wordings(path: Path) -> dict[str, list[str]]:
    """Labels and how each is described, from JSON: {label: text or list of texts}.

    Raises:
        FileNotFoundError: No such file.
        ValueError: It is not of that form, with what is wrong.
    """
    content = read_json(path, "file of labels")
    if not isinstance(content, dict) or not content:
        raise ValueError(f"The file of labels {path} has to be a JSON object {{label: text or [texts]}}.")
    wordings = {label: [texts] if isinstance(texts, str) else texts for label, texts in content.items()}
    for label, texts in wordings.items():
        texts = texts if isinstance(texts, list) else []
        if not label.strip() or not texts or not all(isinstance(text, str) and text.strip() for text in texts):
            raise ValueError(
                f"The file of labels {path}: {label!r} is described by {content[label]!r}; expected a text, or a list "
                "of at least one, none of them empty."
            )
    return wordings


def check_query(inputs: TextInputs, text: str) -> None:
    """Warns of words of a query that the run does not know, with their number.

    Raises:
        ValueError: The query is empty, or the run knows nothing of it.
    """
    if not text.strip():
        raise ValueError("the query is empty: describe what to look for")
    _warn_of_unknown_words(inputs, [text])
    if isinstance(inputs, PrecomputedEmbeddings) and text not in inputs.rows:
        raise ValueError(
            f"{text!r} cannot be looked for: the run was trained on texts embedded elsewhere ({inputs.path}), so it "
            "cannot embed others. Ask with a text of that file, or train with text_model_name naming an encoder"
        )
    if not _means_something(inputs, text):
        raise ValueError(
            f"the run knows no word of {text!r}, because none occurs in the captions it was trained on: ask in words "
            "such as theirs (rooms, sensors, times of day), or train with text_model_name naming an encoder"
        )


def check_wordings(inputs: TextInputs, wordings: Mapping[str, Sequence[str]]) -> None:
    """Warns of words in the descriptions of labels that the run does not know, with their number.

    Raises:
        ValueError: Labels of whose descriptions the run knows nothing.
    """
    _warn_of_unknown_words(inputs, [text for texts in wordings.values() for text in texts])
    if empty := [
        label for label, texts in wordings.items() if not any(_means_something(inputs, text) for text in texts)
    ]:
        raise ValueError(
            f"the run knows no word of what describes {', '.join(empty)}: describe these in words that its captions "
            "have, or leave them out (--labels FILE), or train with text_model_name naming an encoder"
        )


def _warn_of_unknown_words(inputs: TextInputs, texts: Sequence[str]) -> None:
    """Only a bag of words knows no more than the words it was trained on."""
    if not isinstance(inputs, WordVocabulary):
        return
    if unknown := list(dict.fromkeys(word for text in texts for word in inputs.unknown(text))):
        named = ", ".join(unknown[:NAMED]) + (f" and {len(unknown) - NAMED} more" if len(unknown) > NAMED else "")
        warnings.warn(
            f"{len(unknown)} {'word does' if len(unknown) == 1 else 'words do'} not occur in the captions that the run "
            f"was trained on: {named}. All of these count as the same unknown word",
            stacklevel=3,
        )


def _means_something(inputs: TextInputs, text: str) -> bool:
    return not isinstance(inputs, WordVocabulary) or bool((inputs([text]) > UNKNOWN).any())
