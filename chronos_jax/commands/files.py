"""Tables as files: csv, plain or compressed, and parquet."""

import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

TABLE = re.compile(r"\.(csv(\.(gz|bz2|xz|zst|zip))?|parquet)$", re.IGNORECASE)
PICTURE = re.compile(r"\.(png|pdf|svg)$", re.IGNORECASE)


def table_name(path: Path) -> str:
    """The name of the file without its suffixes. Raises ValueError where these are none of a table."""
    match = TABLE.search(path.name)
    if match is None:
        raise ValueError(f"{path} has the suffix of no table: expected .csv, .csv.gz (bz2, xz, zst, zip) or .parquet")
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


def read_table(path: Path, as_text: Sequence[str]) -> "pd.DataFrame":
    """A table with its index, if that has names, as columns.

    Args:
        path: The file.
        as_text: Columns whose text in a csv file is kept as it stands: "007" is not 7, and "2024" no number.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It has another suffix, or is no such file.
    """
    import pandas as pd

    table_name(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        if path.suffix.lower() != ".parquet":
            return pd.read_csv(path, dtype=dict.fromkeys(as_text, str))
        table = pd.read_parquet(path)
        return table.reset_index() if any(table.index.names) else table
    except Exception as error:  # parsers and decompressors raise errors of their own, of no common kind
        raise ValueError(f"cannot read {path} as a table: {error or type(error).__name__}") from error


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


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file of the same name in a folder beside, which takes its place when the block ends without an error."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        beside = Path(folder) / path.name
        yield beside
        beside.replace(path)
