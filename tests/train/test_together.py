"""Runs of several processes, and runs that go on elsewhere, are the run of one process on one mesh."""

import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
import text_models
from forked_runs import Run, Runs

from chronos_jax.sharding import make_mesh
from train.checkpointing import load_model
from train.config import TrainConfig
from train.input import BatchLayout, Captions, Examples, training_batches
from train.text import WordVocabulary

ROOT = Path(__file__).parents[2]
STEPS = 24
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


class Place(NamedTuple):
    """Where a run computes."""

    mesh: dict[str, int]
    devices: int = 8  # over all processes
    processes: int = 1
    num_workers: int = 0


EIGHT = Place({"data": 8})


class Start:
    """Starts the same run in folders and at places of choice; one on eight devices of one process is undisturbed."""

    def __init__(self, runs: Runs, data: Path, folder: Path) -> None:
        self._runs, self._data, self._folder = runs, data, folder
        self.undisturbed = folder / "undisturbed"
        finish(self("undisturbed", EIGHT))

    def __call__(
        self, name: str, place: Place, encoder_batch_size: int = 256, text_model_name: str = "bag-of-words"
    ) -> list[Run]:
        config = TrainConfig(
            train_data_path=self._data,
            output_dir=self._folder / name,
            encoder="statistics",
            encoder_batch_size=encoder_batch_size,
            text_model_name=text_model_name,
            batch_size=16,
            max_steps=STEPS,
            projection_hidden_dim=16,
            output_dim=8,
            log_interval=1,
            val_interval=12,
            save_interval=12,
            use_hard_negatives=True,
            hard_negative_memory_size=64,
            evaluate=False,
            num_workers=place.num_workers,
        )
        mesh = [option for axis, size in place.mesh.items() for option in (f"--mesh.{axis}", str(size))]
        file = self._folder / f"{name}.json"
        file.write_text(config.model_dump_json(exclude={"mesh"}))
        arguments = ["--config", str(file), *mesh]
        if place.processes > 1:
            arguments += ["--coordinator_address", free_address(), "--num_processes", str(place.processes)]
        return [
            self._runs.start(
                arguments + (["--process_id", str(number)] if place.processes > 1 else []),
                devices=place.devices // place.processes,
            )
            for number in range(place.processes)
        ]

    def folder(self, name: str) -> Path:
        return self._folder / name


def free_address() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{one.getsockname()[1]}"


def finish(processes: list[Run]) -> str:
    """What the processes printed, when all have ended well."""
    assert [process.wait() for process in processes] == [0] * len(processes), shown(processes)
    return shown(processes)


def shown(processes: list[Run]) -> str:
    return "\n".join(process.output.read_text() for process in processes)


def lines(run_dir: Path, kind: str) -> list[dict[str, Any]]:
    path = run_dir / "metrics.jsonl"
    whole = path.read_text().split("\n")[:-1] if path.exists() else []
    return [line for line in map(json.loads, whole) if line["kind"] == kind]


@pytest.fixture(scope="module")
def start(simulated_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    with Runs(tmp_path_factory.mktemp("outputs")) as runs:
        yield Start(runs, simulated_home, tmp_path_factory.mktemp("together"))


def assert_the_same_run(run_dir: Path, undisturbed: Path) -> None:
    for kind, count in (("train", STEPS), ("validation", 2)):
        one, other = lines(undisturbed, kind), lines(run_dir, kind)
        assert len(one) == count
        assert [line["step"] for line in other] == [line["step"] for line in one]
        for name in ("loss", "accuracy_window_to_text", "accuracy_text_to_window"):
            np.testing.assert_allclose([line[name] for line in other], [line[name] for line in one], **CLOSE)
    ends = [load_model(folder, "latest") for folder in (undisturbed, run_dir)]
    assert [step for step, _, _ in ends] == [STEPS, STEPS]
    jax.tree.map(lambda one, other: np.testing.assert_allclose(other, one, **CLOSE), *(end[1:] for end in ends))


MESHES = [
    pytest.param({"data": 8}, id="data 8"),
    pytest.param({"data": 2, "fsdp": 2, "tensor": 2}, id="data 2, fsdp 2, tensor 2"),
    pytest.param({"data": 1, "fsdp": 8}, id="fsdp 8"),
]


def test_two_processes_share_what_a_pretrained_text_encoder_has_to_do(start: Start, tmp_path: Path) -> None:
    bert = text_models.write_bert(tmp_path / "bert", text_models.BERTS["tiny BERT"], pooling="mean")
    losses = []
    for name, processes in (("bert alone", 1), ("bert together", 2)):
        finish(start(name, Place({"data": 8}, processes=processes), 2, str(bert)))
        losses.append([line["loss"] for line in lines(start.folder(name), "train")])
    np.testing.assert_allclose(losses[1], losses[0], **CLOSE)
    alone, together = (lines(start.folder(name), "encoder")[0] for name in ("bert alone", "bert together"))
    assert 0 < together["passes_train_texts"] < alone["passes_train_texts"]  # those of the first process


@pytest.mark.parametrize("mesh", MESHES)
def test_two_processes_do_what_one_does_and_leave_one_run(start: Start, mesh: dict[str, int]) -> None:
    name = " ".join(map(str, mesh.values()))
    printed = finish(start(name, Place(mesh, processes=2)))
    run_dir = start.folder(name)
    assert_the_same_run(run_dir, start.undisturbed)
    assert printed.count(f"{STEPS} steps") == 1
    assert [path.name for path in run_dir.rglob("*.jsonl")] == ["metrics.jsonl"]
    assert len(list((run_dir / "tensorboard").iterdir())) == 1
    assert {line["processes"] for line in lines(run_dir, "start")} == {2}
    saved = {path.name for path in (run_dir / "checkpoints").iterdir()}
    assert saved == {path.name for path in (start.undisturbed / "checkpoints").iterdir()}
    for number in range(2):
        for part in ("model", "training"):
            written = run_dir / "checkpoints" / str(STEPS) / part / f"ocdbt.process_{number}"
            assert any(path.stat().st_size for path in (written / "d").iterdir()), "each process writes its part"


WINDOWS, BATCH = 131, 16


def read(mesh: dict[str, int]) -> list[tuple[list[int], list[int]]]:
    """Of each step of an epoch the windows that this process gathered, and those that its devices then held."""
    gathered: list[list[int]] = []

    class Recorded(Examples):
        def gather(self, windows_B: np.ndarray, draws_B: np.ndarray) -> Any:
            gathered.append(windows_B.tolist())
            return super().gather(windows_B, draws_B)

    captions = Captions.of([["one"]] * WINDOWS, WordVocabulary.of(["one"]))
    examples = Recorded(np.arange(WINDOWS, dtype=np.float32)[:, None], captions)
    batches = training_batches(examples, BatchLayout(make_mesh(mesh), BATCH), seed=0)
    steps = []
    for _ in range(WINDOWS // BATCH):
        shards = next(batches).features_BxF.addressable_shards
        on_devices = {int(window) for shard in shards for window in np.asarray(shard.data)[:, 0]}
        (one,) = [windows for windows in gathered if set(windows) == on_devices]
        steps.append((one, sorted(on_devices)))
    batches.close()
    return steps


READ = """
import json, sys
from train.processes import connect
connect(sys.argv[1], 2, int(sys.argv[2]))
from test_together import read
print(json.dumps([read(mesh) for mesh in json.loads(sys.argv[3])]))
"""


def test_two_processes_read_disjoint_slices_of_each_batch() -> None:
    meshes: list[dict[str, int]] = [mesh.values[0] for mesh in MESHES]
    address = free_address()
    started = [
        subprocess.Popen(
            [sys.executable, "-c", READ, address, str(number), json.dumps(meshes)],
            cwd=ROOT,
            env=os.environ
            | {
                "JAX_PLATFORMS": "cpu",
                "JAX_NUM_CPU_DEVICES": "4",
                "PYTHONPATH": f"{ROOT}:{ROOT / 'tests/train'}:{ROOT / 'tests/support'}",
            },
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    printed = [process.communicate(timeout=120)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    first, second = (json.loads(text.splitlines()[-1]) for text in printed)
    for mesh, of_first, of_second in zip(meshes, first, second, strict=True):
        alone = read(mesh)
        assert len(alone) == len(of_first) == len(of_second) == WINDOWS // BATCH
        for (whole, _), (one, on_one), (other, on_other) in zip(alone, of_first, of_second, strict=True):
            assert len(one) == len(other) == BATCH // 2
            assert not set(one) & set(other)
            assert one + other == whole
            assert (sorted(one), sorted(other)) == (on_one, on_other), "each reads what its own devices hold"


@pytest.fixture(scope="module")
def asked_to_end(start: Start) -> Callable[[Place], tuple[Path, int]]:
    """The folder of a run that was begun at a place, and the step after which SIGTERM ended it there."""

    @cache
    def asked_to_end(mesh: tuple[tuple[str, int], ...], processes: int) -> tuple[Path, int]:
        name = f"begun on {mesh}"
        run_dir = start.folder(name)
        running = start(name, Place(dict(mesh), processes=processes))
        while len(lines(run_dir, "train")) < 5 and all(process.code is None for process in running):
            time.sleep(0.001)
        running[-1].send(signal.SIGTERM)
        printed = finish(running)
        steps = len(lines(run_dir, "train"))
        assert 5 <= steps < STEPS, f"it should have ended on the way, not after {steps} steps"
        assert printed.count(f"stopped after step {steps} of {STEPS}") == 1
        return run_dir, steps

    return lambda place: asked_to_end(tuple(place.mesh.items()), place.processes)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(EIGHT, Place({"data": 4}, devices=4), id="8 devices to 4"),
        pytest.param(EIGHT, Place({"data": 8}, processes=2), id="1 process to 2"),
        pytest.param(EIGHT, Place({"data": 2, "fsdp": 4}), id="fsdp 1 to 4"),
        pytest.param(EIGHT, Place({"data": 1, "fsdp": 2, "tensor": 4}), id="tensor 1 to 4 and fsdp 1 to 2"),
        pytest.param(EIGHT, EIGHT._replace(num_workers=2), id="workers 0 to 2"),
        pytest.param(Place({"data": 2, "fsdp": 2, "tensor": 2}, processes=2), EIGHT, id="2 processes to 1"),
    ],
)
def test_a_run_that_was_asked_to_end_goes_on_elsewhere(
    start: Start,
    asked_to_end: Callable[[Place], tuple[Path, int]],
    request: pytest.FixtureRequest,
    before: Place,
    after: Place,
) -> None:
    begun, steps = asked_to_end(before)
    name = request.node.callspec.id
    shutil.copytree(begun, start.folder(name))
    assert f"{STEPS} steps, resumed from step {steps}" in finish(start(name, after))
    assert_the_same_run(start.folder(name), start.undisturbed)


TWO = Place({"data": 2}, devices=2, processes=2)


def test_a_process_that_fails_alone_does_not_leave_the_other_waiting(start: Start) -> None:
    (start.folder("alone fails") / "tensorboard").mkdir(parents=True)
    (start.folder("alone fails") / "tensorboard").rmdir()
    (start.folder("alone fails") / "tensorboard").touch()  # the first process, which logs, expects a folder
    first, second = start("alone fails", TWO)
    assert (first.wait(90), bool(second.wait(60))) == (1, True)
    assert "error: [Errno 17] metrics cannot be written" in first.output.read_text()


def test_features_that_one_process_cannot_write_are_complained_of_by_both(start: Start) -> None:
    first, second = start("features of one", TWO, encoder_batch_size=4)  # makes shards for both
    resource.prlimit(second.pid, resource.RLIMIT_FSIZE, (5000, 5000))
    for process in (first, second):
        assert process.wait(60) == 1
        assert "features cannot be written (File too large)" in process.output.read_text()
