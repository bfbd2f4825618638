"""The whole way on real events: raw file → prepared folder → a few steps of training → evaluation → exported tower."""

import json
from pathlib import Path

import numpy as np

from train.__main__ import main
from train.evaluate import evaluate
from train.export import export_run, load_sensor_tower
from train.prepare import PrepareOptions, prepare
from train.smarthome.records import open_split


def test_from_the_raw_file_to_the_exported_tower(casas_file: Path, tmp_path: Path) -> None:
    options = PrepareOptions(
        input=casas_file, output=tmp_path / "prepared", length=50, train_days=24, validation_days=6
    )
    data = prepare(options)
    keys = {
        "train_data_path": data,
        "chronos_model_name": "random:tiny",
        "output_dir": tmp_path / "run",
        "max_steps": 2,
        "batch_size": 64,
        "projection_hidden_dim": 16,
        "output_dim": 8,
    }
    arguments = [part for key, value in keys.items() for part in (f"--{key}", str(value))]
    assert main([*arguments, "--no_evaluate"]) == 0

    report = evaluate(tmp_path / "run", baseline=False)
    assert report["run"]["train_windows"] == 1912
    assert report["run"]["validation_windows"] == 533
    assert report["recognition"]["labels"] == 22
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text())["retrieval"] == report["retrieval"]
    for picture in ("confusion.png", "embeddings.png"):
        assert (tmp_path / "run" / picture).stat().st_size > 10_000

    export_run(tmp_path / "run", tmp_path / "tower")
    embeddings = load_sensor_tower(tmp_path / "tower").embed(open_split(data, "validation").series()[:5])
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), np.ones(5), rtol=1e-5)
