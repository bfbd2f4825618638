import subprocess
import sys
from pathlib import Path

import pytest

from train.run_lock import run_lock

HOLD = """
import sys
from pathlib import Path
from train.run_lock import run_lock
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_folder_in_use_is_refused_until_its_process_has_gone_however_it_went(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run_dir)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(RuntimeError, match=rf"in use by process {other.pid} on .*: wait for it to end"),
            run_lock(run_dir),
        ):
            pass
        other.kill()
    with run_lock(run_dir):
        (run_dir / "config.json").touch()
    assert (run_dir / "config.json").exists()


def test_a_folder_that_nothing_came_of_is_removed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mistake"), run_lock(tmp_path / "run"):
        raise ValueError("mistake")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), run_lock(tmp_path / "file" / "run"):
        pass
