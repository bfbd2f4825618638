import json
import sys
from pathlib import Path

import numpy as np
import pytest

from chronos_jax import Chronos2Pipeline
from chronos_jax.chronos2.random_weights import SIZES
from train.config import TrainConfig
from train.export import export_run, load_sensor_tower, main
from train.loop import train
from train.run import load_run
from train.smarthome.records import open_split


def a_run(home: Path, folder: Path, **keys: object) -> Path:
    """Trains a tiny run into this folder."""
    config = {
        "train_data_path": home,
        "output_dir": folder,
        "chronos_model_name": "random:tiny",
        "batch_size": 16,
        "max_steps": 4,
        "projection_hidden_dim": 16,
        "output_dim": 8,
    }
    train(TrainConfig.model_validate(config | keys))
    return folder


@pytest.fixture(scope="module")
def run_dir(simulated_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_run(simulated_home, tmp_path_factory.mktemp("run") / "run")


@pytest.fixture(scope="module")
def tower_dir(run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_run(run_dir, tmp_path_factory.mktemp("export") / "tower")


@pytest.fixture
def windows(simulated_home: Path) -> np.ndarray:
    return open_split(simulated_home, "validation").series()


def test_the_tower_embeds_as_its_run_does(run_dir: Path, tower_dir: Path, windows: np.ndarray) -> None:
    ours = load_sensor_tower(tower_dir).embed(windows)
    assert ours.shape == (len(windows), 8)
    np.testing.assert_allclose(ours, load_run(run_dir).embed_series(windows), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-6)
    assert np.ptp(ours, axis=0).max() > 0.1, "embeddings that are all alike would show nothing"


@pytest.mark.parametrize("keys", [{"encoder": "statistics"}, {"use_amp": True, "pooling": "reg", "layer": 1}])
def test_so_do_those_of_other_configurations(
    simulated_home: Path, tmp_path: Path, windows: np.ndarray, keys: dict[str, object]
) -> None:
    run_dir = a_run(simulated_home, tmp_path / "run", **keys)
    tower = load_sensor_tower(export_run(run_dir, tmp_path / "tower"))
    np.testing.assert_allclose(tower.embed(windows), load_run(run_dir).embed_series(windows), atol=1e-6)


def test_it_needs_neither_the_run_nor_the_weights_it_came_from(
    tower_dir: Path, windows: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random weights are drawn by name; here that name draws others, and the tower stays as it was."""
    expected = load_sensor_tower(tower_dir).embed(windows)
    monkeypatch.setitem(SIZES, "tiny", SIZES["tiny"].model_copy(update={"num_layers": 1}))
    np.testing.assert_array_equal(load_sensor_tower(tower_dir).embed(windows), expected)
    assert "random:" not in (tower_dir / "config.json").read_text()


def test_the_encoder_in_it_is_a_checkpoint_of_the_library(tower_dir: Path) -> None:
    expected = Chronos2Pipeline.from_pretrained("random:tiny").fingerprint
    assert Chronos2Pipeline.from_pretrained(tower_dir).fingerprint == expected


def test_it_holds_what_makes_a_series_of_raw_events(tower_dir: Path, simulated_home: Path) -> None:
    header = open_split(simulated_home, "train").header
    description = load_sensor_tower(tower_dir).description
    assert description.vocabulary == header.vocabulary
    assert description.layout == header.layout
    assert description.coordinate_bounds == header.coordinate_bounds
    assert description.sequence_length == header.sequence_length
    assert description.step == 4


def test_windows_of_other_variates_are_refused(tower_dir: Path, windows: np.ndarray) -> None:
    tower = load_sensor_tower(tower_dir)
    with pytest.raises(ValueError, match=r"expected windows of shape \(windows, 5, events\), with the variates"):
        tower.embed(windows[:, :4])
    with pytest.raises(ValueError, match="expected windows"):
        tower.embed(windows[:0])


def test_what_exists_is_not_overwritten(run_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "tower").mkdir()
    (tmp_path / "tower" / "precious.txt").write_text("mine")
    with pytest.raises(ValueError, match="exists and is not empty"):
        export_run(run_dir, tmp_path / "tower")
    assert [path.name for path in (tmp_path / "tower").iterdir()] == ["precious.txt"]


def test_an_export_that_fails_half_way_leaves_nothing(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orbax.checkpoint import v1 as ocp

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ocp, "save_checkpointables", fail)
    with pytest.raises(KeyboardInterrupt):
        export_run(run_dir, tmp_path / "tower")
    assert not list(tmp_path.iterdir())


def test_an_encoder_that_changed_since_training_is_refused(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SIZES, "tiny", SIZES["tiny"].model_copy(update={"num_layers": 1}))
    with pytest.raises(ValueError, match="encoder"):
        export_run(run_dir, tmp_path / "tower")
    assert not list(tmp_path.iterdir())


def test_folders_that_hold_no_tower_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"has no config.json: expected a folder made by"):
        load_sensor_tower(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="a checkpoint without a head"):
        load_sensor_tower(tmp_path)


def test_a_damaged_tower_is_refused(tower_dir: Path, tmp_path: Path) -> None:
    content = json.loads((tower_dir / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="is damaged, export the run again"):
        load_sensor_tower(tmp_path)
    content["sensor_tower"]["version"] = 2
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="of another version"):
        load_sensor_tower(tmp_path)


def test_the_command_says_in_one_line_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["export", "--run", str(tmp_path / "no"), "--output", str(tmp_path / "tower")])
    with pytest.raises(SystemExit, match=r"^error: .*no has no config.json"):
        main()
