"""Tables as files: csv, plain or compressed, and parquet."""

import re
import sys
import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chronos_jax.replacing import replacing

if TYPE_CHECKING:
    import pandas as pd

TABLE = re.compile(r"\.(csv(\.(gz|bz2|xz|zip))?|parquet)$", re.IGNORECASE)
STDIN = Path("-")
PICTURE = re.compile(r"\.(png|pdf|svg)$", re.IGNORECASE)


def table_name(path: Path) -> str:
    """The name of the file without its suffixes. Raises ValueError where these are none of a table."""
    match = TABLE.search(path.name)
    if match is None:
        raise ValueError(f"{path} has the suffix of no table: expected .csv, .csv.gz (bz2, xz, zip) or .parquet")
    return path.name[: match.start()]


def check_picture(path: Path) -> None:
    """Raises ValueError for a suffix that no picture has."""
    if not PICTURE.search(path.name):
        raise ValueError(f"{path} has the suffix of no picture: expected .png, .pdf or .svg")


def check_output(path: Path, overwrite: bool) -> None:
    """Raises FileExistsError, FileNotFoundError where this file cannot be written; asked before any work is done."""
    if path.is_dir():
        raise FileExistsError(f"cannot write {path}: it is a folder; name a file")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; name another file, or pass --overwrite")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: there is no folder {path.parent}; make it first")


def read_table(path: Path, id_column: str, timestamp_column: str) -> "pd.DataFrame":
    """A table with its index, if that has names, as columns.

    Args:
        path: The file; "-" is standard input, as csv.
        id_column: Kept as text in a csv file, as it stands there: "007" is not 7, and "NA" is a name.
        timestamp_column: Read as text in a csv file: "2024" is no number. Text is parsed, if it can be; offsets from
            UTC that differ, as they do when the clocks change, make UTC of it.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It has another suffix, or is no such file, or has other separators than commas.
    """
    import pandas as pd

    if path != STDIN:
        table_name(path)
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}")
    try:
        if path.suffix.lower() == ".parquet":
            table = pd.read_parquet(path)
            table = table.reset_index() if any(table.index.names) else table
        else:
            table = _read_csv(path, id_column, timestamp_column)
    except Exception as error:  # parsers and decompressors raise errors of their own, of no common kind
        raise ValueError(f"cannot read {shown(path)} as a table: {error or type(error).__name__}") from error
    if timestamp_column in table and pd.api.types.is_string_dtype(table[timestamp_column]):
        table[timestamp_column] = _parsed(table[timestamp_column], path)
    return table


def shown(path: Path) -> str:
    """What a message calls this file."""
    return "standard input" if path == STDIN else str(path)


def _read_csv(path: Path, id_column: str, timestamp_column: str) -> "pd.DataFrame":
    import pandas as pd

    whole = BytesIO(sys.stdin.buffer.read()) if path == STDIN else None

    def read(**options: Any) -> pd.DataFrame:
        if whole is not None:
            whole.seek(0)
        return pd.read_csv(whole or path, **options)

    header = read(nrows=0).columns
    for separator, name in ((";", "';'"), ("\t", "tabs")):
        if len(header) == 1 and separator in header[0]:
            raise ValueError(f"its columns are separated by {name}, expected commas")
    text = {id_column: str, timestamp_column: str}
    table = read(dtype=text)
    if id_column in table and table[id_column].isna().any():  # rare enough to read it twice
        table[id_column] = read(dtype=text, keep_default_na=False, na_values=[""])[id_column]
    return table


def _parsed(times: "pd.Series", path: Path) -> "pd.Series":
    """Times of text. What cannot be parsed, or not for sure, stays as it is, for whoever needs it to complain."""
    import pandas as pd

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                return pd.to_datetime(times)
            except (ValueError, Warning) as error:  # of pandas 3 and 2
                if not re.search("mixed time ?zones", str(error), re.IGNORECASE):
                    raise
                parsed = pd.to_datetime(times, utc=True)
    except (ValueError, TypeError, Warning):
        return times
    print(f"{shown(path)}: timestamps have different offsets from UTC: read as UTC", file=sys.stderr)
    return parsed


def write_table(table: "pd.DataFrame", path: Path | None) -> None:
    """Writes a table by the suffix of the file; None is standard output, as csv."""
    if path is None:
        table.to_csv(sys.stdout, index=False)
        sys.stdout.flush()
        return
    with replacing(path) as beside:
        if path.suffix.lower() == ".parquet":
            table.to_parquet(beside, index=False)
        else:
            table.to_csv(beside, index=False)
