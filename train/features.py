"""Encoder output of a whole split, computed once, kept on disk, and read back."""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from rich.progress import Progress

from chronos_jax.progress import progress_bar
from train.encoder import FrozenEncoder
from train.smarthome.dataset import WindowSplit

WRITING = ".writing-"  # stands after a feature key in the name of a folder that is not complete


@dataclass(frozen=True)
class Features:
    """Features of a split, in its order.

    Attributes:
        array_NxF: Memory-mapped, float32.
        encoder_passes: How often the encoder ran to get them: 0 where they were read from disk.
        path: The file.
    """

    array_NxF: Float[np.ndarray, "n f"]
    encoder_passes: int
    path: Path


@dataclass(frozen=True)
class FeatureStore:
    """A folder with one folder per (encoder, options, data), named by their hash.

    The encoder is frozen, so its output for a window never changes: any number of epochs, and any number of runs that
    share the folder, need it once.
    """

    root: Path

    def get(self, split: WindowSplit, encoder: FrozenEncoder) -> Features:
        """The features of a split, from disk where they are there, else computed and kept.

        Raises:
            ValueError: Stored features are damaged, or the encoder's output is not finite (with the windows).
        """
        folder = self.root / feature_key(split.fingerprint, encoder)
        before = encoder.passes
        if not folder.exists():
            self._write(folder, split, encoder)
        return Features(_read(folder), encoder.passes - before, folder / "features.npy")

    def _write(self, folder: Path, split: WindowSplit, encoder: FrozenEncoder) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        beside = Path(tempfile.mkdtemp(prefix=f"{folder.name}{WRITING}", dir=self.root))
        held = os.open(beside, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
        try:
            path = beside / "features.npy"
            with progress_bar() as progress:
                shape = _encode_into(path, split, encoder, progress)
            header = {
                "shape": shape,
                "encoder": encoder.identity,
                "data": split.fingerprint,
                "sha256": _sha256(path),
            }
            (beside / "header.json").write_text(json.dumps(header, indent=1))
            try:
                beside.rename(folder)
            except OSError:
                # Another run was faster: what it wrote has the same key, so it is the same.
                if not folder.exists():
                    raise
        finally:
            shutil.rmtree(beside, ignore_errors=True)
            os.close(held)


def feature_key(data_fingerprint: str, encoder: FrozenEncoder) -> str:
    """Hash of everything that the features depend on: weights, options, data."""
    content = json.dumps({"encoder": encoder.identity, "data": data_fingerprint}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _sweep(folder: Path) -> None:
    """Removes what killed runs left half-written beside `folder`, but nothing that a run is still writing.

    A run holds a lock on the folder that it writes, from before there is anything in it; the system takes it away when
    the process ends, however it ends.
    """
    for left in folder.parent.glob(f"{folder.name}{WRITING}*"):
        try:
            if not any(left.iterdir()):
                continue
            free = os.open(left, os.O_RDONLY)
        except FileNotFoundError:  # its run has just ended
            continue
        try:
            fcntl.flock(free, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(free)


def _encode_into(path: Path, split: WindowSplit, encoder: FrozenEncoder, progress: Progress) -> tuple[int, int]:
    series_NxVxT = split.series()
    count, size = len(series_NxVxT), encoder.batch_size
    task = progress.add_task("encoding windows", total=count)
    array = None
    for start in range(0, count, size):
        part = encoder(series_NxVxT[start : start + size])
        if len(bad := np.flatnonzero(~np.isfinite(part).all(axis=1))):
            raise ValueError(f"the encoder's output is not finite for windows {[start + int(i) for i in bad[:8]]} …")
        if array is None:
            array = np.lib.format.open_memmap(path, "w+", np.float32, (count, part.shape[1]))
        array[start : start + len(part)] = part
        progress.update(task, advance=len(part))
    assert array is not None, "a split is never empty here"
    array.flush()
    return array.shape


def _read(folder: Path) -> Float[np.ndarray, "n f"]:
    path = folder / "features.npy"
    try:
        header = json.loads((folder / "header.json").read_text())
        whole = _sha256(path) == header["sha256"]
    except (OSError, ValueError, KeyError):
        whole = False
    if not whole:
        raise ValueError(f"stored features are damaged: delete the folder {folder}, they will be computed again")
    return np.load(path, mmap_mode="r")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
