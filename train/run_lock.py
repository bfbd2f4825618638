"""One run folder, one run: a lock that goes when its process does, however that ends."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from train.processes import on_first, say

LOCK_FILE = ".lock"


@contextmanager
def run_lock(run_dir: Path) -> Iterator[None]:
    """Holds the folder of a run for the processes of this run, through the first of them.

    A folder that is not there is made, and removed again where nothing came of it.

    Raises:
        RuntimeError: Another run holds it.
        OSError: The folder cannot be made or written to.
    """
    held: list[int] = []
    on_first(lambda: held.append(_acquire(run_dir)))
    try:
        yield
    finally:
        for descriptor in held:
            _release(run_dir, descriptor)


def _acquire(run_dir: Path) -> int:
    path = run_dir / LOCK_FILE
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise OSError(
            error.errno,
            f"the run's folder cannot be written to ({error.strerror}): give another output_dir",
            str(run_dir),
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = path.read_text().strip() or "another process"
        os.close(descriptor)
        raise RuntimeError(f"{run_dir} is in use by {holder}: wait for it to end, or give another output_dir") from None
    except OSError as error:
        say(f"{run_dir} cannot be locked ({error.strerror}): see to it that no other run uses it")
    if not _is_there(path, descriptor):  # removed meanwhile, by a run that nothing came of
        os.close(descriptor)
        return _acquire(run_dir)
    os.truncate(descriptor, 0)
    os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    return descriptor


def _is_there(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _release(run_dir: Path, descriptor: int) -> None:
    if [path.name for path in run_dir.iterdir()] == [LOCK_FILE]:
        (run_dir / LOCK_FILE).unlink()
        run_dir.rmdir()
    os.close(descriptor)
