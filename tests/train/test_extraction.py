"""Extractions in processes of their own: killed, side by side, and short of memory or room."""

import os
import random
import socket
import tempfile
from pathlib import Path

import numpy as np
import pytest
from extraction import finish, prepared, run, start

from train.config import TrainConfig
from train.encoder import FrozenEncoder, load_encoder
from train.features import FeatureStore
from train.smarthome.records import open_split

WINDOWS = 150  # 38 passes of four windows; five shards


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("extraction") / "data", WINDOWS)


@pytest.fixture(scope="module")
def undisturbed(data: Path) -> dict[str, bytes]:
    """The files that an extraction in one go leaves."""
    encoder = FrozenEncoder({"name": "the windows themselves"}, lambda x: x.reshape(len(x), -1), batch_size=4)
    features = FeatureStore(data.parent / "undisturbed").get(open_split(data, "train"), encoder)
    series = open_split(data, "train").series()
    np.testing.assert_array_equal(features[np.arange(WINDOWS)], series.reshape(WINDOWS, -1))
    return contents(features.folder)


def contents(folder: Path | str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def test_a_killed_extraction_goes_on_where_it_was(data: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    draw = random.Random(0)
    whole = 0  # shards
    for _ in range(3):
        # Within the next shards, so that each life gets further.
        kill_in_pass = draw.randint(1, 12)
        assert run(data=data, store=tmp_path, kill_in_pass=kill_in_pass)["killed"]
        whole += (kill_in_pass - 1) // 8
        (folder,) = tmp_path.iterdir()
        kept = contents(folder)
        assert len([name for name in kept if name.endswith(".npy")]) == whole
        assert kept.items() <= undisturbed.items()
    last = run(data=data, store=tmp_path)
    assert last["passes"] == 38 - 8 * whole
    assert contents(folder) == undisturbed
    assert not last["stderr"]


def test_two_processes_write_one_store_together(data: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    """Shards 0, 2 and 4 are the first's, 1 and 3 the second's."""
    assert passes_of_two(data, tmp_path) == [8 + 8 + 6, 8 + 8]
    (folder,) = tmp_path.iterdir()
    assert contents(folder) == undisturbed
    assert run(data=data, store=tmp_path)["passes"] == 0
    sorted(folder.glob("*.npy"))[3].unlink()
    assert passes_of_two(data, tmp_path) == [0, 8]
    assert contents(folder) == undisturbed


def test_each_of_two_processes_encodes_on_its_own_devices(data: Path, tmp_path: Path) -> None:
    """Weights lie over all eight devices of the run in training, and over the four of each process here."""
    assert passes_of_two(data, tmp_path, mesh={"fsdp": 4, "tensor": 2}) == [8, 2]
    config = TrainConfig.model_validate({"chronos_model_name": "random:tiny", "encoder_batch_size": 16})
    alone, split = load_encoder(config), open_split(data, "train")
    features = FeatureStore(tmp_path).get(split, alone)
    assert features.encoder_passes == 0
    np.testing.assert_allclose(features[np.arange(WINDOWS)], alone(split.series()), rtol=0, atol=1e-5)


def passes_of_two(data: Path, store: Path, **options: object) -> list[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    both = [start(data=data, store=store, process=process, processes=2, port=port, **options) for process in (0, 1)]
    found = [finish(process) for process in both]
    return [one["passes"] for one in found]


def test_data_larger_than_memory_are_read_and_written_in_streams(tmp_path: Path) -> None:
    """Windows of 320 MiB to as much of features, then batches of these, with 64 MiB of memory."""
    data = prepared(tmp_path / "data", count=5120, length=8192)
    found = run(data=data, store=tmp_path / "store", encoder_batch_size=32, memory=64 * 2**20, batches=20)
    assert found["shape"] == [5120, 2 * 8192]
    assert sum(path.stat().st_size for path in Path(found["folder"]).iterdir()) > 5 * 64 * 2**20


def test_a_full_disk_is_said_and_leaves_nothing_half(data: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    found = run(data=data, store=tmp_path, file_size=2000)
    assert (
        "features cannot be written (File too large): make room there, or choose another features_dir"
        in (found["error"])
    )
    assert str(tmp_path) in found["error"]
    (folder,) = tmp_path.iterdir()
    assert list(contents(folder)) == ["layout.json"]
    assert run(data=data, store=tmp_path)["passes"] == 38
    assert contents(folder) == undisturbed


def test_a_folder_that_must_not_be_written_to_is_said_and_is_read_where_it_is_complete(data: Path) -> None:
    # The superuser may write anywhere, so the process becomes another user, for whom pytest's own folders are closed.
    options = {"user": 65534} if os.getuid() == 0 else {}
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        store.chmod(0o555)
        found = run(data=data, store=store, **options)
        assert found["passes"] == 0
        assert "features cannot be written (Permission denied)" in found["error"]
        store.chmod(0o755)
        assert run(data=data, store=store)["passes"] == 38
        store.chmod(0o555)
        found = run(data=data, store=store, batches=1, **options)
        assert (found["passes"], found["shape"]) == (0, [WINDOWS, 32])
        store.chmod(0o755)


def test_a_file_in_place_of_the_folder_is_said(data: Path, tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    encoder = FrozenEncoder({}, lambda x: x.reshape(len(x), -1), batch_size=4)
    with pytest.raises(OSError, match=r"features cannot be written \(Not a directory\)"):
        FeatureStore(tmp_path / "store").get(open_split(data, "train"), encoder)
