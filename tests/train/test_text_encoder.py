"""A pretrained text encoder beside the trained head: once per text, kept on disk."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import text_models

from chronos_jax.text.encoder import TextEncoder
from train.config import TrainConfig
from train.data import captions_of, open_splits
from train.features import FeatureStore
from train.loop import train
from train.run import load_run
from train.text_encoder import DistinctTexts, PretrainedTexts

Configure = Callable[..., TrainConfig]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_models.write_bert(
        tmp_path_factory.mktemp("bert") / "model", text_models.BERTS["tiny BERT"], pooling="mean"
    )


def passes(run_dir: Path) -> list[dict[str, int]]:
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [
        {part: line[f"passes_{part}"] for part in ("train_texts", "validation_texts")}
        for line in lines
        if line["kind"] == "encoder"
    ]


def test_captions_go_through_the_encoder_once_for_all_epochs_and_runs(tiny_config: Configure, bert: Path) -> None:
    config = tiny_config(text_model_name=str(bert), encoder_batch_size=32, max_steps=40, save_interval=10)
    train(config)
    distinct = [len({text for texts in captions_of(split, config) for text in texts}) for split in open_splits(config)]
    assert passes(config.output_dir) == [
        {part: -(-number // 256) for part, number in zip(("train_texts", "validation_texts"), distinct, strict=True)}
    ]
    other = config.model_copy(
        update={"output_dir": config.output_dir.with_name("other"), "features_dir": config.output_dir / "features"}
    )
    train(other)
    assert passes(other.output_dir) == [{"train_texts": 0, "validation_texts": 0}]


def test_a_trained_run_embeds_any_text_and_keeps_those_it_is_told_to(
    tiny_config: Configure, bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(text_model_name=str(bert), max_steps=2)
    train(config)
    run = load_run(config.output_dir)
    texts = ["the person sleeps", "dinner in the kitchen", "a word never trained on"]
    embedded = run.embed_texts(texts)
    assert embedded.shape == (3, 8)
    np.testing.assert_allclose(run.embed_texts(texts, keep=True), embedded, atol=1e-6)
    assert run.embed_labels({"Sleep": texts[:1], "Cook": texts[1:]}).shape == (2, 8)

    read_back = load_run(config.output_dir)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("computed, not read")

    monkeypatch.setattr(TextEncoder, "embed", refuse)
    np.testing.assert_array_equal(read_back.embed_texts(texts, keep=True), run.embed_texts(texts, keep=True))


def test_stored_embeddings_are_those_of_the_encoder(tiny_config: Configure, bert: Path, tmp_path: Path) -> None:
    config = tiny_config(text_model_name=str(bert), encoder_batch_size=2)
    texts = [f"the person walks {'a ' * number}" for number in range(40)]
    pretrained = PretrainedTexts(config, FeatureStore(tmp_path / "store"))
    expected = TextEncoder.from_pretrained(bert).embed(texts)
    np.testing.assert_allclose(pretrained.stored(texts)[np.arange(40)], expected, atol=1e-6)
    np.testing.assert_allclose(pretrained(texts), expected, atol=1e-6)
    pretrained.release()
    assert pretrained([]).shape == (0, pretrained.width) == (0, 32)
    np.testing.assert_allclose(pretrained(texts[:3]), expected[:3], atol=1e-6)


def test_other_texts_and_other_weights_are_stored_apart(bert: Path, tmp_path: Path, tiny_config: Configure) -> None:
    assert DistinctTexts(["a", "b"]).fingerprint != DistinctTexts(["a b"]).fingerprint
    other = text_models.write_bert(tmp_path / "other", text_models.BERTS["tiny BERT"], seed=1, pooling="mean")
    here, there = (
        PretrainedTexts(tiny_config(text_model_name=str(folder)), FeatureStore(tmp_path / "store"))
        for folder in (bert, other)
    )
    assert here.fingerprint != there.fingerprint
    rows = [each.stored(["a person", "the stove"])[np.arange(2)] for each in (here, there)]
    assert np.abs(rows[0] - rows[1]).max() > 0.01


def test_another_encoder_is_another_run(tiny_config: Configure, bert: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(bert, folder)
    config = tiny_config(text_model_name=str(folder), max_steps=2)
    train(config)
    shutil.rmtree(folder)
    text_models.write_bert(folder, text_models.BERTS["tiny BERT"], seed=1, pooling="mean")
    with pytest.raises(ValueError, match=r"other data:\n  texts: "):
        train(config)
    run = load_run(config.output_dir)  # for what needs no text, it is enough
    with pytest.raises(ValueError, match=f"the text encoder {folder} is not the one that the run was trained with"):
        run.embed_texts(["a person"])


def test_a_run_without_its_text_encoder_embeds_windows(tiny_config: Configure, bert: Path, tmp_path: Path) -> None:
    shutil.copytree(bert, tmp_path / "model")
    config = tiny_config(text_model_name=str(tmp_path / "model"), max_steps=2)
    train(config)
    shutil.rmtree(tmp_path / "model")
    run = load_run(config.output_dir)
    assert run.embed_features(np.ones((2, 70), np.float32)).shape == (2, 8)


def test_in_bfloat16_the_encoder_is_another(tiny_config: Configure, bert: Path, tmp_path: Path) -> None:
    store, texts = FeatureStore(tmp_path / "store"), ["the person sleeps", "dinner in the kitchen"]
    exact, rough = (
        PretrainedTexts(tiny_config(text_model_name=str(bert), use_amp=use_amp), store) for use_amp in (False, True)
    )
    assert exact.fingerprint != rough.fingerprint
    expected = exact.stored(texts)[np.arange(2)]
    difference = np.abs(rough.stored(texts)[np.arange(2)] - expected).max()
    assert 1e-5 < difference < 0.05 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("name", "problem"),
    [("bag-of-word", "'bag-of-word' is n"), ("no/where", "'no/where' is n")],
)
def test_a_name_that_is_nothing_is_refused_before_anything_is_written(
    tiny_config: Configure, name: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    config = tiny_config(text_model_name=name)
    with pytest.raises(ValueError, match=problem):
        train(config)
    assert not (config.output_dir / "config.json").exists()
