import re
import warnings

import pytest

from chronos_jax.commands.words import words_of_the_shell


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("future_df must contain prediction_length=5 rows", "df.csv must contain --horizon=5 rows"),
        (
            "columns not present in df. Extra columns: ['df']",
            "columns not present in b/future_df.csv. Extra columns: ['df']",
        ),
        ("give freq=, such as freq='h'", "give --freq, such as --freq='h'"),
        ("df column 'a' is text; convert it with pd.to_datetime", "b/future_df.csv column 'a' is text"),
        ("mend them, give freq=, or disable this check with validate_inputs=False", "mend them, give --freq"),
        ("no_df, df_x, prediction_lengths", "no_df, df_x, prediction_lengths"),
    ],
)
def test_arguments_become_files_and_options(message: str, expected: str) -> None:
    """And names that stand in quotes or are parts of others stay."""
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"), words_of_the_shell("b/future_df.csv", "df.csv"):
        raise TypeError(message)


def test_warnings_are_shown_by_whoever_shows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", lambda message, *_: shown.append(str(message)))
        with words_of_the_shell("data.csv"):
            warnings.warn("context_length 9 is beyond", stacklevel=1)
    assert shown == ["--context-length 9 is beyond"]
