"""Prepared folders: windows as ArrayRecord files beside a JSON header, written whole or not at all."""

import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import grain
from array_record.python.array_record_module import ArrayRecordWriter
from flax import serialization
from pydantic import ValidationError

from train.smarthome.dataset import Header, SplitHeader, SplitName, Window, WindowSplit
from train.smarthome.files import sha256_of
from train.smarthome.windowed_json import read_windowed_json

HEADER_FILE = "header.json"


def open_split(
    path: Path,
    split: SplitName,
    vocab_path: Path | None = None,
    sequence_length: int | None = None,
    like: Header | None = None,
) -> WindowSplit:
    """Open the windows of one split.

    Args:
        path: a folder made by `python -m train.prepare`, or a windowed JSON file.
        split: which split of the folder. A windowed JSON file is one split, whatever it is called.
        vocab_path: the vocabulary of a windowed JSON file, which needs it; no other has one.
        sequence_length: see `read_windowed_json`; a prepared folder has its own, which has to agree.
        like: see `read_windowed_json`.

    Raises:
        FileNotFoundError: nothing at `path`, or a file that the header names is absent.
        ValueError: what is there is not what was expected; the message says what and where.
    """
    if path.is_dir():
        if vocab_path is not None:
            raise ValueError(f"{path} is a prepared folder and has its own vocabulary: leave out vocab_path.")
        return _open_prepared(path, split, sequence_length)
    if not path.exists():
        raise FileNotFoundError(
            f"There is no data at {path}. Expected a folder made by `python -m train.prepare`, or a windowed JSON file."
        )
    if vocab_path is None:
        raise ValueError(f"{path} is a file, thus windowed JSON, and needs its vocabulary: give vocab_path.")
    return read_windowed_json(path, vocab_path, split, sequence_length, like)


def read_header(folder: Path) -> Header:
    """The header of a prepared folder.

    Raises:
        FileNotFoundError: the folder has no header.
        ValueError: the header is not one that this version reads.
    """
    path = folder / HEADER_FILE
    if not path.is_file():
        raise FileNotFoundError(f"{folder} has no {HEADER_FILE}: expected a folder made by `python -m train.prepare`.")
    try:
        return Header.model_validate_json(path.read_bytes())
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()[:5])
        raise ValueError(f"{path} is damaged or of another version ({faults}): prepare the data again.") from error


def _open_prepared(folder: Path, split: SplitName, sequence_length: int | None) -> WindowSplit:
    header = read_header(folder)
    if split not in header.splits:
        raise ValueError(f"{folder} has no split {split!r}; it has {sorted(header.splits)}.")
    if sequence_length not in (None, header.sequence_length):
        raise ValueError(
            f"{folder} holds windows of {header.sequence_length} events, not {sequence_length}: set sequence_length to "
            f"{header.sequence_length}, or prepare the data with --length {sequence_length}."
        )
    description = header.splits[split]
    paths = [folder / name for name in description.files]
    if absent := [str(path) for path in paths if not path.is_file()]:
        raise FileNotFoundError(f"{folder} lacks {absent}, which its header names: prepare the data again.")
    if sha256_of(*paths) != description.sha256:
        raise ValueError(f"The files of split {split!r} in {folder} are damaged (sha256): prepare the data again.")
    records = grain.sources.ArrayRecordDataSource([str(path) for path in paths])
    if len(records) != description.count:
        raise ValueError(f"{folder}: split {split!r} has {len(records)} records, its header says {description.count}.")
    return WindowSplit(header, description.sha256, records, _decode)


def write_prepared(
    folder: Path,
    splits: Mapping[SplitName, Sequence[Window] | Iterable[Window]],
    header: Header,
    overwrite: bool = False,
) -> Header:
    """Write windows and header to a new folder; on any failure, nothing is there that was not before.

    Args:
        folder: the destination.
        splits: the windows of each split.
        header: everything but `splits`, which is filled in here.
        overwrite: replace a prepared folder that exists.

    Returns:
        The header as written.

    Raises:
        FileExistsError: see `check_destination`.
    """
    check_destination(folder, overwrite)
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        new = beside / "new"
        new.mkdir()
        written = {name: _write_split(new, name, windows) for name, windows in splits.items()}
        header = header.model_copy(update={"splits": written})
        (new / HEADER_FILE).write_text(json.dumps(header.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
        old = beside / "old"
        if folder.exists():
            folder.rename(old)
        try:
            new.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise
    finally:
        shutil.rmtree(beside)
    return header


def check_destination(folder: Path, overwrite: bool) -> None:
    """Refuse a destination that must not be written to, before any work is done for it.

    Raises:
        FileExistsError: something is there and `overwrite` is not set, or it is no prepared folder.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / HEADER_FILE).is_file():
        raise FileExistsError(f"{folder} exists and is no prepared folder, so it is not replaced: choose another one.")
    if not overwrite:
        raise FileExistsError(f"{folder} is a prepared folder already: choose another, or replace it (--overwrite).")


def _write_split(folder: Path, name: SplitName, windows: Iterable[Window]) -> SplitHeader:
    file = f"{name}.array_record"
    writer = ArrayRecordWriter(str(folder / file), "group_size:1")
    count = 0
    for window in windows:
        writer.write(_encode(window))
        count += 1
    writer.close()
    return SplitHeader(count=count, files=[file], sha256=sha256_of(folder / file))


def _encode(window: Window) -> bytes:
    record = {field.name: getattr(window, field.name) for field in fields(Window) if field.name != "captions"}
    record |= {f"captions_{kind}": texts for kind, texts in window.captions.items()}
    return serialization.msgpack_serialize(record)


def _decode(record: bytes) -> Window:
    content = serialization.msgpack_restore(record)
    captions = {key.removeprefix("captions_"): content.pop(key) for key in list(content) if key.startswith("captions_")}
    return Window(captions=captions, **content)
