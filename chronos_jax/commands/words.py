"""Messages of the library, which speak of arguments, in words of the shell."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def words_of_the_shell(data: str, future: str = "") -> Iterator[None]:
    """Warnings and errors within name these files, and options instead of arguments; all errors are ValueErrors."""
    words = {
        r"df": data,
        r"future_df": future,
        r"prediction_length": "--horizon",
        r"context_length": "--context-length",
        r"freq(?==')": "--freq",
        r"freq=": "--freq",
        r", or disable this check with validate_inputs=False": "",
        r"; convert it with pd\.to_datetime": "",
    }

    def translated(message: object) -> str:
        text = str(message)
        for word, meant in words.items():
            start = "" if word[0] in ",;" else r"(?<!['\w./-])"
            # neither in quotes nor part of a file's name
            text = re.sub(rf"{start}{word}(?!['\w]|\.\w)", meant.replace("\\", r"\\"), text)
        return text

    show = warnings.showwarning
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *where, **how: show(translated(message), *where, **how)
        try:
            yield
        except (ValueError, TypeError) as error:
            raise ValueError(translated(error)) from error
