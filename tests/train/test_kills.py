"""Runs that are killed for real, over and over, at random points, end as if they had not been.

Over thirty times in all: SIGKILL and SIGTERM, of a run in one process and of one in two, of all its processes and of
one, while features are extracted, while steps are made, and while a checkpoint is being written.
"""

import json
import random
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np
import pytest
from forked_runs import Run, Runs

from train.checkpointing import load_model
from train.config import TrainConfig

Configure = Callable[..., TrainConfig]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    with Runs(tmp_path_factory.mktemp("outputs")) as runs:
        yield runs


class Disturbed:
    """A run of so many processes with two devices in all, which is started again after each blow."""

    def __init__(self, runs: Runs, config: TrainConfig, file: Path, processes: int) -> None:
        file.write_text(config.model_dump_json())
        self.run_dir = config.output_dir
        self._runs, self._file, self._processes = runs, file, processes

    def start(self) -> list[Run]:
        if self._processes == 1:
            return [self._runs.start(["--config", str(self._file)], devices=2)]
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{one.getsockname()[1]}"
        together = ["--coordinator_address", address, "--num_processes", str(self._processes)]
        return [
            self._runs.start(
                ["--config", str(self._file), *together, "--process_id", str(number)], devices=2 // self._processes
            )
            for number in range(self._processes)
        ]

    def finish(self) -> None:
        for process in self.start():
            assert process.wait() == 0, process.output.read_text()

    def shards(self) -> int:
        return len(list((self.run_dir / "features").glob("*/*.npy")))

    def extracted(self) -> int:
        return len(list((self.run_dir / "features").glob("*/header.json")))

    def step(self) -> int:
        path = self.run_dir / "metrics.jsonl"
        steps = [json.loads(line)["step"] for line in path.read_text().splitlines()[:-1]] if path.exists() else []
        return max(steps, default=0)

    def unfinished(self) -> set[int]:
        """The folders in which a checkpoint is being written, or was when the run was killed."""
        return {inode for path in (self.run_dir / "checkpoints").glob("*-tmp") if (inode := _inode(path))}


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:  # it has just been given its name
        return None


def wait_for(reached: Callable[[], object], processes: list[Run]) -> bool:
    """Whether it came to that before a process ended."""
    while all(process.code is None for process in processes):
        if reached():
            return True
        time.sleep(0.001)
    return False


def blow(disturbed: Disturbed, phase: str, who: str, number: signal.Signals, rng: random.Random) -> bool:
    """Starts the run, waits for the phase and a random moment of it, and sends the signal; whether it was there."""
    shards, step, unfinished = disturbed.shards(), disturbed.step(), disturbed.unfinished()
    processes = disturbed.start()
    ahead = rng.randint(1, 2 if phase == "extraction" else 3)
    there = wait_for(
        {
            "extraction": lambda: disturbed.shards() >= shards + ahead and disturbed.extracted() < 2,
            "training": lambda: disturbed.step() >= step + ahead,
            "checkpoint": lambda: disturbed.unfinished() - unfinished,
        }[phase],
        processes,
    )
    time.sleep(rng.uniform(0, 0.02 if phase == "checkpoint" else 0.05))
    hit = processes if who == "all" else [rng.choice(processes)]
    for process in hit:
        process.send(number)
    sent = time.monotonic()
    codes = [process.wait(30) for process in processes]
    assert time.monotonic() - sent < 30
    if number == signal.SIGTERM:
        assert codes == [0] * len(codes), "\n".join(process.output.read_text() for process in processes)
    return there


def metrics(run_dir: Path) -> list[dict]:
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def logged(run_dir: Path) -> list[dict]:
    timings = {"step_time", "input_wait", "windows_per_second", "windows_per_second_per_chip", "host_memory"}
    return [
        {key: line[key] for key in line.keys() - timings}
        for line in metrics(run_dir)
        if line["kind"] in ("train", "validation")
    ]


KILL, TERM = signal.SIGKILL, signal.SIGTERM
ALONE = [
    *[("extraction", "all", KILL)] * 4,
    *[("extraction", "all", TERM)] * 2,
    *[("training", "all", KILL)] * 5,
    *[("training", "all", TERM)] * 3,
    *[("checkpoint", "all", KILL)] * 5,
    *[("checkpoint", "all", TERM)] * 3,
]
TOGETHER = [
    ("extraction", "one", KILL),
    ("extraction", "all", KILL),
    ("extraction", "all", TERM),
    ("extraction", "one", TERM),
    ("training", "one", KILL),
    ("training", "all", KILL),
    ("training", "one", TERM),
    ("checkpoint", "one", KILL),
    ("checkpoint", "all", KILL),
    ("checkpoint", "all", TERM),
    ("checkpoint", "one", TERM),
]


@pytest.mark.parametrize(
    ("processes", "blows", "steps"), [(1, ALONE, 120), (2, TOGETHER, 60)], ids=["one process", "two processes"]
)
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bits(
    runs: Runs, tiny_config: Configure, tmp_path: Path, processes: int, blows: list[tuple], steps: int
) -> None:
    def a_run(name: str) -> Disturbed:
        config = tiny_config(
            output_dir=tmp_path / name,
            encoder="chronos2",
            chronos_model_name="random:tiny",
            encoder_batch_size=1,
            max_steps=steps,
            log_interval=1,
            val_interval=6,
            save_interval=3,
            use_hard_negatives=True,
            hard_negative_memory_size=64,
            evaluate=False,
        )
        return Disturbed(runs, config, tmp_path / f"{name}.json", processes)

    undisturbed, disturbed = a_run("undisturbed"), a_run("disturbed")
    undisturbed.finish()
    rng = random.Random(processes)
    for phase, who, number in blows:
        assert blow(disturbed, phase, who, number, rng), f"the run ended before it could be hit in {phase}"
    disturbed.finish()

    ends = [load_model(run.run_dir, "latest") for run in (undisturbed, disturbed)]
    assert [step for step, _, _ in ends] == [steps, steps]
    jax.tree.map(np.testing.assert_array_equal, ends[0][1:], ends[1][1:])
    encoded = [line for line in metrics(disturbed.run_dir) if line["kind"] == "encoder"]
    assert encoded[-1]["passes_train"] == 0  # all features were there
    one, other = logged(undisturbed.run_dir), logged(disturbed.run_dir)
    # Every step once, with the very loss: so no window was passed over, and none seen twice.
    assert [line["step"] for line in other if line["kind"] == "train"] == list(range(1, steps + 1))
    assert one == other
