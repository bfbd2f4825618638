"""The command `python -m train.search`: moments in the events of a home, found by describing them."""

import hashlib
import json
import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import tyro
from flax import nnx
from rich.console import Console
from rich.table import Table

from chronos_jax.compilation_cache import keep_what_is_compiled
from chronos_jax.progress import progress_bar
from train.command_line import plain_words
from train.data import open_splits
from train.new_events import Embedded, embedded_windows
from train.run import TrainedRun, feature_store, load_run
from train.run_record import read_record, record_start
from train.search_index import Found, SearchIndex, Shown
from train.smarthome.event_lines import check_event_file
from train.smarthome.files import sha256_of
from train.wordings import check_query

FOLDER = "search"  # of the run: where indices are kept
INDEX_VERSION = 1  # raised when an index of the same windows would be another
WINDOWS_AT_ONCE = 4096  # that are read and whose features are embedded together


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """Find moments by describing them: the windows of events that are most like a text.

    Without a query, queries are read from standard input, one a line. The score is the cosine similarity of the
    embeddings: it says which windows fit better than others, not that one fits. Windows know rooms, sensors, places and
    pace, but no clock: leave the time of day to --since and --until.
    """

    query: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="QUERY")] = None
    """What to look for, such as "someone gets up at night to go to the bathroom"."""
    run: Path
    """Folder of the run (its output_dir)."""
    events: Path | None = None
    """Search this raw CASAS event file (plain, .gz or .xz), not the windows that the run was trained and validated
    on."""
    top: int = 10
    """At most so many windows."""
    since: str | None = None
    """Only windows that begin on this day (YYYY-MM-DD) or later, or at this time (YYYY-MM-DDTHH:MM) or later."""
    until: str | None = None
    """Only windows that begin on this day or earlier, or before this time."""
    overlapping: bool = False
    """Show windows that overlap a better one in time, too."""
    json: bool = False
    """Print one JSON object a query in place of a table."""


def open_index(run: TrainedRun, events: Path | None = None) -> SearchIndex:
    """The windows of a run's training and validation data, or of a raw event file, ready to be searched.

    An index is kept in the folder of the run, and read from there while it still is that of the same windows, encoder
    and trained parameters; then neither data nor encoder are needed.

    Args:
        run: The trained run.
        events: Raw CASAS event file.

    Raises:
        FileNotFoundError: No such file, or the run's data are gone.
        ValueError: As `embedded_windows`; or data or encoder are not those that the run was trained with.
        OSError: The index cannot be written.
    """
    if events is not None:
        check_event_file(events)
    source = "run" if events is None else sha256_of(events)
    path = run.config.output_dir / FOLDER / f"{source[:16]}.safetensors"
    key = _key(run, source)
    if (index := SearchIndex.load(path, key)) is None:
        batches = _own_windows(run) if events is None else _new_windows(run, events)
        index = SearchIndex.of(batches)
        index.save(path, key)
    return index


def find(
    run: TrainedRun,
    index: SearchIndex,
    query: str,
    top: int = 10,
    since: datetime | None = None,
    until: datetime | None = None,
    overlapping: bool = False,
) -> list[Found]:
    """The windows most like a text, best first; arguments as `SearchIndex.search`.

    Raises:
        ValueError: The run cannot tell what the text says (see `check_query`).
    """
    check_query(run.text_inputs, query)
    return index.search(run.embed_texts([query])[0], top, since, until, overlapping)


def _key(run: TrainedRun, source: str) -> str:
    """Hash of everything that an index depends on."""
    record = read_record(run.config.output_dir)
    assert record is not None, "load_run has read it"
    inputs = {name: record["run"]["inputs"].get(name) for name in ("train", "validation", "encoder")}
    digest = hashlib.sha256(json.dumps([INDEX_VERSION, source, inputs], sort_keys=True).encode())
    for array in jax.tree.leaves((nnx.state(run.model.sensor), run.standardisation)):
        digest.update(np.asarray(array).tobytes())
    return digest.hexdigest()


def _own_windows(run: TrainedRun) -> Iterator[Embedded]:
    splits = open_splits(run.config)
    fingerprints = dict(zip(("train", "validation"), (split.fingerprint for split in splits), strict=True))
    # On a run that is there, this compares.
    record_start(run.config, fingerprints | {"encoder": run.encoder.identity}, run.text_inputs)
    features = [feature_store(run.config).get(split, run.encoder) for split in splits]
    with progress_bar() as progress:
        task = progress.add_task("reading windows", total=sum(map(len, splits)))
        for split, rows in zip(splits, features, strict=True):
            for start in range(0, len(split), WINDOWS_AT_ONCE):
                part = np.arange(start, min(start + WINDOWS_AT_ONCE, len(split)))
                yield [split[number] for number in part], run.embed_features(rows[part])
                progress.advance(task, len(part))


def _new_windows(run: TrainedRun, events: Path) -> Iterator[Embedded]:
    train_split, _ = open_splits(run.config)
    return embedded_windows(run, events, train_split)


def parse_since(text: str) -> datetime:
    """The moment from which on: a day from its midnight, or a time. Raises ValueError for anything else."""
    return _moment(text, "since", timedelta())


def parse_until(text: str) -> datetime:
    """The moment until which: a day with all of it, or a time. Raises ValueError for anything else."""
    return _moment(text, "until", timedelta(days=1))


def _moment(text: str, option: str, of_day: timedelta) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(text), time()) + of_day
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(
            f"--{option} {text!r} is no date or time: write a day as 2024-01-31 or a time as 2024-01-31T22:30"
        ) from error
    if moment.tzinfo is not None:
        raise ValueError(f"--{option} {text!r} names a time zone, which event files do not: give the local time alone")
    return moment


def _table(query: str, found: list[Found]) -> Table:
    table = Table(title=query)
    table.add_column("score", justify="right")
    for column in ("time", "rooms", "caption"):
        table.add_column(column)
    for each in found:
        table.add_row(f"{each.score:.3f}", _when(each.window), ", ".join(each.window.rooms), each.window.caption)
    return table


def _when(window: Shown) -> str:
    if not window.start:
        return "unknown"
    start, end = datetime.fromisoformat(window.start), datetime.fromisoformat(window.end)
    shown = start.isoformat(" ", "minutes")
    return f"{shown} – {end:%H:%M}" if start.date() == end.date() else f"{shown} – {end.isoformat(' ', 'minutes')}"


def _queries(query: str | None) -> Iterator[str]:
    if query is not None:
        yield query
        return
    asking = sys.stdin.isatty()
    while True:
        if asking:
            print("search: ", end="", file=sys.stderr, flush=True)
        if not (line := sys.stdin.readline()):
            return
        if line.strip():
            yield line.strip()


def _run(options: SearchOptions) -> int:
    since = None if options.since is None else parse_since(options.since)
    until = None if options.until is None else parse_until(options.until)
    if since is not None and until is not None and since >= until:
        raise ValueError(f"nothing is between --since {options.since} and --until {options.until}: exchange them")
    if options.top < 1:
        raise ValueError(f"--top {options.top}: give at least 1")
    run = load_run(options.run)
    if options.query is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # which `find` says
            check_query(run.text_inputs, options.query)  # before the windows are encoded
    index = open_index(run, options.events)
    if (since or until) and index.timeless:
        warnings.warn(
            f"{index.timeless:,} of {len(index):,} windows have no time: --since and --until leave them out",
            stacklevel=1,
        )
    code, query = 0, None
    for query in _queries(options.query):
        try:
            found = find(run, index, query, options.top, since, until, options.overlapping)
        except ValueError as error:
            if options.query is not None:
                raise
            print(f"error: {error}", file=sys.stderr)
            code = 1
            continue
        if options.json:
            print(json.dumps({"query": query, "found": [asdict(each) for each in found]}), flush=True)
        elif found:
            Console().print(_table(query, found))
        else:
            print(f"No window begins in that time. {index.span()}")
    if query is None:
        raise ValueError("no query: give one behind the options, or write some to standard input, one a line")
    return code


def main() -> None:
    """Runs the command; what is wrong is said in one line, with exit code 1."""
    options = tyro.cli(SearchOptions, prog="python -m train.search", use_underscores=True)
    keep_what_is_compiled()
    with plain_words():
        code = _run(options)
    sys.exit(code)


if __name__ == "__main__":
    main()
