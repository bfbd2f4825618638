"""What goes wrong around a run is said in one line, leaves nothing half, and does not keep it from going on."""

import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from forked_runs import Run, Runs

from train.checkpointing import load_model
from train.checksums import damage
from train.config import TrainConfig, read_config
from train.run_lock import run_lock

ROOT = Path(__file__).parents[2]
STEPS = 60
EVERY = 4  # steps between checkpoints
NOBODY = 65534


class Command:
    """Starts `python -m train` on one device, in folders of choice."""

    def __init__(self, runs: Runs, data: Path, folder: Path) -> None:
        self._runs, self._data, self._folder = runs, data, folder

    def __call__(self, name: str, *options: str, **keys: object) -> Run:
        return self._runs.start([*self.arguments(name, **keys), *options], devices=1)

    def arguments(self, name: str, **keys: object) -> list[str]:
        values = {
            "train_data_path": self._data,
            "output_dir": self.folder(name),
            "encoder": "statistics",
            "batch_size": 16,
            "max_steps": STEPS,
            "projection_hidden_dim": 512,
            "output_dim": 8,
            "log_interval": 1,
            "val_interval": STEPS,
            "save_interval": EVERY,
            "evaluate": False,
        }
        file = self._folder / f"{name}.json"
        file.write_text(TrainConfig.model_validate(values | keys).model_dump_json())
        return ["--config", str(file)]

    def folder(self, name: str) -> Path:
        return self._folder / name


@pytest.fixture(scope="module")
def command(simulated_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    with Runs(tmp_path_factory.mktemp("outputs")) as runs:
        yield Command(runs, simulated_home, tmp_path_factory.mktemp("trouble"))


@pytest.fixture(scope="module")
def undisturbed(command: Command) -> Path:
    finish(command("undisturbed"))
    return command.folder("undisturbed")


@pytest.fixture(scope="module")
def begun(command: Command) -> Path:
    """A run that was ended on its way, with several checkpoints; tests copy it."""
    run = command("begun")
    wait_for(lambda: len(checkpoints(command.folder("begun"))) == 2, run)
    assert "stopped after step " in end(run)
    return command.folder("begun")


def finish(run: Run) -> str:
    """What it printed, when it has ended well."""
    assert run.wait() == 0, run.output.read_text()
    return run.output.read_text()


def end(run: Run) -> str:
    """What it printed, when it has followed SIGTERM in time."""
    assert run.code is None, "it should still be running:\n" + run.output.read_text()
    run.send(signal.SIGTERM)
    assert run.wait(30) == 0, run.output.read_text()
    assert "Traceback" not in run.output.read_text()
    return run.output.read_text()


def wait_for(reached: Callable[[], object], run: Run) -> None:
    while not reached():
        assert run.code is None, run.output.read_text()
        time.sleep(0.001)


def complaint(run: Run) -> str:
    """The one line with which it failed."""
    assert run.wait() == 1, run.output.read_text()
    return one_line(run.output.read_text())


def one_line(printed: str) -> str:
    assert "Traceback" not in printed, printed
    (line,) = [line for line in printed.splitlines() if line.startswith("error: ")]
    return line


def checkpoints(run_dir: Path) -> list[int]:
    folder = run_dir / "checkpoints"
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit()) if folder.is_dir() else []


def lines(run_dir: Path) -> list[dict[str, Any]]:
    path = run_dir / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []


def assert_the_same_end(run_dir: Path, undisturbed: Path) -> None:
    ends = [load_model(folder, "latest") for folder in (undisturbed, run_dir)]
    assert [step for step, _, _ in ends] == [STEPS, STEPS]
    jax.tree.map(np.testing.assert_array_equal, ends[0][1:], ends[1][1:])
    losses = [
        [(line["step"], line["loss"]) for line in lines(folder) if line["kind"] == "train"]
        for folder in (undisturbed, run_dir)
    ]
    assert losses[0] == losses[1]
    assert not list((run_dir / "checkpoints").glob("*tmp*"))


def flip_a_bit(checkpoint: Path) -> None:
    path = max((path for path in checkpoint.rglob("d/*") if path.is_file()), key=lambda path: path.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_file_that_may_not_grow_ends_the_run_which_then_goes_on(command: Command, undisturbed: Path) -> None:
    run, run_dir = command("full"), command.folder("full")
    wait_for(lambda: checkpoints(run_dir), run)
    resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (150_000, 150_000))
    assert "could not be written (File too large). Those before it are whole" in complaint(run)
    assert not any(damage(run_dir / "checkpoints" / str(step)) for step in checkpoints(run_dir))
    latest = checkpoints(run_dir)[-1]
    assert latest < STEPS
    assert f"{STEPS} steps, resumed from step {latest}" in finish(command("full"))
    assert_the_same_end(run_dir, undisturbed)


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "none", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no file system may be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_ends_the_run_which_then_goes_on(command: Command, undisturbed: Path) -> None:
    run_dir = command.folder("disk")
    with small_disk(run_dir):
        run = command("disk")
        wait_for(lambda: checkpoints(run_dir), run)
        filler = run_dir / "filler"
        with filler.open("wb", buffering=0) as file:
            deadline = time.monotonic() + 60
            while run.code is None and time.monotonic() < deadline:
                try:
                    file.write(b"\0" * 4096)
                except OSError:
                    time.sleep(0.001)
        assert run.wait() == 1
        # Where a checkpoint is being written at the same time, TensorStore's threads print in between.
        said = rf"error: \[Errno 28\] .*No space left on device.*{re.escape(str(run_dir))}"
        assert re.search(said, run.output.read_text())
        latest = checkpoints(run_dir)[-1]
        assert damage(run_dir / "checkpoints" / str(latest)) is None
        filler.unlink()
        assert f"{STEPS} steps, resumed from step {latest}" in finish(command("disk"))
        assert_the_same_end(run_dir, undisturbed)


def test_a_file_where_the_folder_should_be_is_said(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for run_dir in (tmp_path / "file", tmp_path / "file" / "run"):
        line = complaint(command("in the way", output_dir=run_dir))
        assert "the run's folder cannot be written to" in line
        assert f"give another output_dir: '{run_dir}'" in line
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_that_may_not_be_written_to_is_said() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        with (
            another_user(),
            pytest.raises(OSError, match=rf"cannot be written to \(Permission denied\).*'{folder}/run'"),
            run_lock(Path(folder, "run")),
        ):
            pass
        Path(folder).chmod(0o755)


@contextmanager
def another_user() -> Iterator[None]:
    """Makes this process that of another user where it is the superuser's, who may write anywhere."""
    me = os.geteuid()
    os.seteuid(me or NOBODY)
    try:
        yield
    finally:
        os.seteuid(me)


def test_a_damaged_last_checkpoint_is_said_and_the_one_before_used(
    command: Command, begun: Path, undisturbed: Path
) -> None:
    run_dir = command.folder("damaged")
    shutil.copytree(begun, run_dir)
    before, last = checkpoints(run_dir)[-2:]
    flip_a_bit(run_dir / "checkpoints" / str(last))
    printed = finish(command("damaged"))
    assert printed.count("is damaged") == 1
    assert f"the checkpoint of step {last} is damaged" in printed
    assert f"the checkpoint of step {before} is used in its place" in printed
    assert f"{STEPS} steps, resumed from step {before}" in printed
    assert_the_same_end(run_dir, undisturbed)


def test_where_every_checkpoint_is_damaged_the_run_begins_anew_and_says_so(
    command: Command, begun: Path, undisturbed: Path
) -> None:
    run_dir = command.folder("all damaged")
    shutil.copytree(begun, run_dir)
    saved = checkpoints(run_dir)
    for step in saved:
        flip_a_bit(run_dir / "checkpoints" / str(step))
    printed = finish(command("all damaged"))
    assert [printed.count(f"the checkpoint of step {step} is damaged") for step in saved] == [1] * len(saved)
    assert printed.count("no whole checkpoint is left: the run begins anew") == 1
    assert "resumed" not in printed
    assert_the_same_end(run_dir, undisturbed)
    kept = {path.name for path in (run_dir / "checkpoints").glob("*.damaged")}
    assert kept == {f"{step}.damaged" for step in saved}


def test_a_folder_in_use_is_refused_and_its_run_is_not_disturbed(command: Command, undisturbed: Path) -> None:
    first = command("in use")
    wait_for(lambda: checkpoints(command.folder("in use")), first)
    first.send(signal.SIGSTOP)
    try:
        assert f"in use by process {first.pid} on {socket.gethostname()}" in complaint(command("in use"))
    finally:
        first.send(signal.SIGCONT)
    finish(first)
    assert_the_same_end(command.folder("in use"), undisturbed)


def test_another_configuration_is_refused_with_the_difference_unless_forced(command: Command, begun: Path) -> None:
    run_dir = command.folder("changed")
    shutil.copytree(begun, run_dir)
    recorded = (run_dir / "config.json").read_bytes()
    changed = ("--learning_rate", "0.5", "--seed", "7")
    refused = command("changed", *changed)
    assert complaint(refused).endswith("began with another configuration or other data:")
    printed = refused.output.read_text()
    assert "\n  learning_rate: 0.001 → 0.5\n  seed: 0 → 7\nGive the same ones to continue it" in printed
    assert (run_dir / "config.json").read_bytes() == recorded
    assert checkpoints(run_dir) == checkpoints(begun)

    printed = finish(command("changed", *changed, "--force"))
    assert "going on although the run began with another configuration or other data:\n  learning_rate" in printed
    assert f"{STEPS} steps, resumed from step {checkpoints(begun)[-1]}" in printed
    now = read_config(run_dir / "config.json")
    assert (now.learning_rate, now.seed) == (0.5, 7)
    assert "seed: 7 → 0" in finish_badly(command("changed")), "what was forced is the run's configuration from then on"


def test_a_width_that_the_checkpoint_does_not_have_cannot_be_forced(
    command: Command, begun: Path, undisturbed: Path
) -> None:
    run_dir = command.folder("wider")
    shutil.copytree(begun, run_dir)
    line = complaint(command("wider", "--projection_hidden_dim", "64", "--force"))
    last = run_dir / "checkpoints" / str(checkpoints(begun)[-1])
    assert line.startswith(f"error: the checkpoint {last} has params.sensor.linear_in.bias of shape (512,)")
    assert "the configuration makes one of shape (64,): that cannot be gone on with" in line
    assert f"{STEPS} steps, resumed from step {checkpoints(begun)[-1]}" in finish(command("wider"))
    assert_the_same_end(run_dir, undisturbed)


def finish_badly(run: Run) -> str:
    complaint(run)
    return run.output.read_text()


# Two seconds in place of five minutes, within which the others must come.
IMPATIENT = """
import sys
from train import processes
processes.FOUND_WITHIN_S = 2
from train.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def test_processes_that_do_not_find_each_other_say_so(command: Command) -> None:
    with socket.socket() as one, socket.socket() as other, socket.socket() as busy:
        for free in (one, other, busy):
            free.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{free.getsockname()[1]}" for free in (one, other, busy)]
        one.close()
        other.close()
        busy.listen()  # as a process 0 does
        alone, lost, twice = (
            subprocess.Popen(
                [
                    *(sys.executable, "-c", IMPATIENT, *command.arguments("never")),
                    *("--coordinator_address", address, "--num_processes", "2", "--process_id", number),
                ],
                cwd=ROOT,
                env=os.environ | {"JAX_PLATFORMS": "cpu"},
                stderr=subprocess.PIPE,
                text=True,
            )
            for address, number in zip(addresses, ("0", "1", "0"), strict=True)
        )
        said = [process.communicate(timeout=120)[1] for process in (alone, lost, twice)]
    assert [process.returncode for process in (alone, lost, twice)] == [1, 1, 1]
    for number, text in enumerate(said[:2]):
        line = one_line(text)
        assert f"process {number} of 2, with process 0 at {addresses[number]}, has not found the others" in line
        assert "within 2 s: start all of them" in line
    assert f"process 0 cannot listen at port {addresses[2].split(':')[1]} (Address already in use)" in one_line(said[2])
    assert not command.folder("never").exists()


def test_a_run_follows_sigterm_wherever_it_is_and_goes_on(command: Command) -> None:
    run_dir = command.folder("asked")
    keys = {
        "encoder": "chronos2",
        "chronos_model_name": "random:tiny",
        "encoder_batch_size": 1,
        "projection_hidden_dim": 16,
        "val_interval": 1,
        "batch_size": 8,
        "max_steps": 400,
    }

    before = 0

    def asked_when(reached: Callable[[], object]) -> str:
        nonlocal before
        before = len(lines(run_dir))
        run = command("asked", **keys)
        wait_for(reached, run)
        return end(run)

    def training() -> bool:
        return len(lines(run_dir)) > before + 6

    def saving() -> bool:
        return any((run_dir / "checkpoints").glob("*-tmp"))

    def validating() -> bool:
        return len(lines(run_dir)) > before + 2 and lines(run_dir)[-1]["kind"] == "train"

    stored = "asked to end while features were computed: those that are stored are kept"
    assert stored in asked_when((run_dir / ".lock").exists)
    assert stored in asked_when(lambda: any((run_dir / "features").glob("*/*.npy")))
    shards = {path: path.stat().st_mtime_ns for path in (run_dir / "features").glob("*/*.npy")}
    reached = 0
    for phase in (training, validating, saving):
        printed = asked_when(phase)
        step = int(printed.partition("stopped after step ")[2].split()[0])
        assert step > reached
        assert f"stopped after step {step} of 400, now saved: start it again to go on" in printed
        assert checkpoints(run_dir)[-1] == step == lines(run_dir)[-1]["step"]
        assert not saving()
        reached = step
    assert shards
    assert {path: path.stat().st_mtime_ns for path in shards} == shards, "what was computed was not computed again"
    trained = [line["step"] for line in lines(run_dir) if line["kind"] == "train"]
    assert trained == list(range(1, reached + 1))
