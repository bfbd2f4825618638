from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest

from train.config import TrainConfig
from train.data import captions_of, open_splits
from train.loop import train
from train.run import load_run
from train.run_record import record_start
from train.text import WordVocabulary

Configure = Callable[..., TrainConfig]
TEXTS = WordVocabulary.of(["someone is in the kitchen"])


def test_a_trained_run_embeds_windows_and_texts(tiny_config: Configure) -> None:
    config = tiny_config(learnable_temperature=False)
    outcome = train(config)
    run = load_run(outcome.run_dir, "latest")
    assert run.step == 6
    assert run.logit_scale == pytest.approx(1 / 0.07)
    _, validation = open_splits(config)
    series = validation.series()
    features = run.sensor_features(series)
    assert features.shape == (len(validation), 70)
    windows, texts = run.embed_features(features), run.embed_texts(["someone is in the kitchen", ""])
    assert windows.shape == (len(validation), 8)
    assert texts.shape == (2, 8)
    np.testing.assert_allclose(np.linalg.norm(windows, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(run.embed_series(series[:3]), windows[:3], atol=1e-6)

    wordings = {"Read": ["reading in a chair", "someone is in the kitchen"], "Cook": ["someone is in the kitchen"]}
    labels = run.embed_labels(wordings)
    mean = run.embed_texts(wordings["Read"]).mean(axis=0)
    np.testing.assert_allclose(labels, np.stack([mean / np.linalg.norm(mean), texts[0]]), atol=1e-6)
    assert run.embed_labels({}).shape == (0, 8)
    with pytest.raises(ValueError, match="labels without description: Nap"):
        run.embed_labels(wordings | {"Nap": []})


def test_reading_a_run_compiles_nothing(tiny_config: Configure, caplog: pytest.LogCaptureFixture) -> None:
    run_dir = train(tiny_config(max_steps=1)).run_dir
    with jax.log_compiles():
        load_run(run_dir)
    assert "Compiling" not in caplog.text


def test_text_embeddings_of_a_file_take_the_place_of_words(tiny_config: Configure, tmp_path: Path) -> None:
    config = tiny_config(text_model_name=str(tmp_path / "texts.npz"))
    captions = [texts for split in open_splits(config) for texts in captions_of(split, config)]
    texts = sorted({text for window in captions for text in window})
    np.savez(tmp_path / "texts.npz", embeddings=np.random.default_rng(0).normal(size=(len(texts), 12)), texts=texts)
    run = load_run(train(config).run_dir)
    assert run.embed_texts(texts[:3]).shape == (3, 8)
    with pytest.raises(ValueError, match="no embedding for 1 of 1 texts"):
        run.embed_texts(["never embedded"])

    np.savez(tmp_path / "texts.npz", embeddings=np.ones((1, 13)), texts=texts[:1])
    with pytest.raises(ValueError, match=r"of width 13, are not those that .* was trained on, of width 12"):
        load_run(config.output_dir)


def test_a_folder_that_is_no_run_is_refused(tiny_config: Configure, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"has no config\.json"):
        load_run(tmp_path)
    config = tiny_config()
    record_start(config, {}, TEXTS)
    with pytest.raises(FileNotFoundError, match="has no checkpoints"):
        load_run(config.output_dir)


def test_a_run_is_found_from_another_working_directory(
    tiny_config: Configure, simulated_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").symlink_to(simulated_home)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    config = tiny_config(train_data_path="data", output_dir="run", features_dir="features")
    train(config)
    monkeypatch.chdir(tmp_path / "elsewhere")
    run = load_run(tmp_path / "run")
    assert run.config.features_dir == tmp_path / "features"
    assert len(open_splits(run.config)[0]) == len(open_splits(tiny_config())[0])
    monkeypatch.chdir(tmp_path)
    assert train(config).resumed_from == 6
