import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import grain

from train.prefetch import prefetched

ROOT = Path(__file__).parents[2]

READ = """
import time
import grain
from train.prefetch import prefetched
if __name__ == "__main__":
    batches = iter(prefetched(grain.MapDataset.range(100), workers=1))
    print(next(batches), flush=True)
    time.sleep(600)
"""


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()] + [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        if task.name != str(pid)
        for child in (task / "children").read_text().split()
    ]


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_batches_come_in_order() -> None:
    assert list(prefetched(grain.MapDataset.range(20), workers=0)) == list(range(20))


def test_workers_do_not_outlive_a_killed_reader(tmp_path: Path) -> None:
    (tmp_path / "read.py").write_text(READ)
    reader = subprocess.Popen(
        [sys.executable, str(tmp_path / "read.py")],
        env=os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == "0\n"
    workers = children(reader.pid)
    assert workers
    reader.send_signal(signal.SIGKILL)
    reader.communicate()
    deadline = time.monotonic() + 20
    while any(runs(worker) for worker in workers):
        assert time.monotonic() < deadline, "a worker has outlived its reader"
        time.sleep(0.1)
