"""The options that the commands share, and what they stand for: a table of series, and a model."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from chronos_jax.commands.files import STDIN, check_output, read_table, shown, table_name, write_table

if TYPE_CHECKING:
    import pandas as pd

    from chronos_jax.chronos2.pipeline import Chronos2Pipeline

LISTED = 12


def without_default(metavar: str) -> Any:
    """An option whose help says in words what happens without it."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint="")


@dataclass(frozen=True, kw_only=True)
class SeriesOptions:
    """Which series, by which model, to where."""

    data: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DATA")]
    """Goes first: a .csv (plain, or compressed as .csv.gz) or .parquet file, or - for csv from standard input, with a
    row for each series and time step. Columns that no option names are covariates, numbers or categories."""
    id_column: Annotated[str | None, without_default("COLUMN")] = None
    """Whose values name the series. By default item_id; a file without it is one series, named after the file."""
    timestamp_column: Annotated[str, tyro.conf.arg(metavar="COLUMN")] = "timestamp"
    """Dates or times."""
    target: Annotated[tuple[str, ...], tyro.conf.arg(metavar="COLUMN [COLUMN ...]")] = ("target",)
    """What the series are; several columns see each other."""
    model: Annotated[str, tyro.conf.arg(metavar="MODEL")] = "amazon/chronos-2"
    """Hub name; folder with safetensors, a LoRA adapter or Orbax; or random:tiny, random:chronos-2 and others."""
    context_length: Annotated[int | None, without_default("STEPS")] = None
    """Time steps of each history to use, the last ones; by default all that the model can."""
    batch_size: Annotated[int | None, without_default("SERIES")] = None
    """The most series in a batch, counted in targets and covariates; by default as many as the device computes well."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the model's parameters and wide products."""
    device: Annotated[str, tyro.conf.arg(metavar="DEVICE")] = "auto"
    """Such as cpu, cuda, cuda:1, tpu; auto is the first accelerator there is."""
    out: Annotated[Path | None, without_default("FILE")] = None
    """Where the table goes, .csv (also compressed) or .parquet; by default to standard output, as csv."""
    overwrite: bool = False
    """Replace files that exist."""
    progress: Literal["auto", "on", "off"] = "auto"
    """A bar on standard error; auto shows it on a terminal, where there are several batches."""

    @property
    def ids(self) -> str:
        """The column of ids in every table read and written."""
        return self.id_column or "item_id"

    @property
    def shows_progress(self) -> bool | None:
        """None where the pipeline decides."""
        return {"auto": None, "on": True, "off": False}[self.progress]

    def check(self) -> None:
        """Raises ValueError, OSError for numbers below 1, or where `out` cannot be written."""
        for option, number in (("--context-length", self.context_length), ("--batch-size", self.batch_size)):
            if number is not None and number < 1:
                raise ValueError(f"{option} must be at least 1, found {number}")
        if self.out is not None:
            table_name(self.out)
            if self.out.resolve() == self.data.resolve():
                raise ValueError(f"--out {self.out} is the file of the series itself; name another one")
            check_output(self.out, self.overwrite)

    def read(self) -> "pd.DataFrame":
        """The table, with ids in it. Raises ValueError, OSError where it or its columns are not there."""
        table = read_table(self.data, self.ids, self.timestamp_column)
        self._check_columns(table)
        if self.ids not in table:
            name = "stdin" if self.data == STDIN else table_name(self.data)
            print(
                f"{shown(self.data)} has no column item_id (--id-column): taken as one series, {name}", file=sys.stderr
            )
            table.insert(0, self.ids, name)
        return table

    def load_model(self) -> "Chronos2Pipeline":
        """The model on its device. Raises ValueError where there is none."""
        from chronos_jax.chronos2.pipeline import Chronos2Pipeline
        from chronos_jax.compilation_cache import keep_what_is_compiled

        keep_what_is_compiled()
        return Chronos2Pipeline.from_pretrained(self.model, dtype=self.dtype, device_map=self.device)

    def write(self, table: "pd.DataFrame") -> str:
        """Writes the answer and returns where it is."""
        write_table(table, self.out)
        return "standard output" if self.out is None else str(self.out)

    def _check_columns(self, table: "pd.DataFrame") -> None:
        """Raises ValueError naming every column that is missing, and which could be meant."""
        from chronos_jax.chronos2.covariates import is_numeric

        missing = []
        if self.id_column is not None and self.id_column not in table:
            missing.append(f"{self.id_column!r} (--id-column; {_listed(table.columns)})")
        if self.timestamp_column not in table:
            times = [c for c in table if c != self.ids and _looks_like_time(table[c])]
            hint = f"try --timestamp-column {times[0]}" if times else f"--timestamp-column; {_listed(table.columns)}"
            missing.append(f"{self.timestamp_column!r} ({hint})")
        if absent := [c for c in self.target if c not in table]:
            taken = self.ids, self.timestamp_column
            numeric = [c for c in table if c not in taken and is_numeric(table[c])]
            missing.append(f"{', '.join(map(repr, absent))} (--target; with numbers {_listed(numeric)})")
        if missing:
            raise ValueError(f"{shown(self.data)} has no column {' and no column '.join(missing)}")


def _listed(names: "pd.Index | list[str]") -> str:
    if not len(names):
        return "there is none"
    return f"there are {', '.join(map(str, names[:LISTED]))}" + (" …" if len(names) > LISTED else "")


def _looks_like_time(column: "pd.Series") -> bool:
    import warnings

    import pandas as pd
    import pandas.api.types as ptypes

    sample = column.dropna().head(8)
    if ptypes.is_numeric_dtype(column.dtype) or sample.empty:
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of formats that are not uniform
        return not pd.to_datetime(sample, errors="coerce").isna().any()
