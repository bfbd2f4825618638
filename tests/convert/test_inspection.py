import json
from pathlib import Path

import pytest
from reference import write_random_checkpoint
from text_checkpoints import write_hub_bert, write_whole_clip

from chronos_jax.chronos2.config import Chronos2Config
from convert.__main__ import main

CONFIG = Chronos2Config(d_model=16, d_kv=4, d_ff=24, num_layers=2, num_heads=3, max_output_patches=4)


@pytest.fixture
def published(tmp_path: Path) -> Path:
    return write_random_checkpoint(tmp_path / "published", CONFIG)


def test_json_says_what_is_in_a_checkpoint(published: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["inspect", str(published), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    embedding = 2 * 16
    patches = (48 * 24 + 24 + 24 * 16 + 16 + 48 * 16 + 16) + (16 * 24 + 24 + 24 * 336 + 336 + 16 * 336 + 336)
    block = 2 * (4 * 16 * 12 + 16) + (2 * 16 * 24 + 16)
    assert found == {
        "family": "Chronos-2",
        "kind": "safetensors",
        "folder": str(published),
        "base": None,
        "tensors": 14 + 2 * 13,
        "unused": {},
        "parameters": embedding + patches + 2 * block + 16,
        "dtypes": {"float32": 40},
        "bytes_on_disk": sum(path.stat().st_size for path in published.iterdir()),
        "shards": ["model.safetensors"],
        "text": None,
        "config": json.loads((published / "config.json").read_text()),
    }


def test_orbax_holds_the_same_parameters(tmp_path: Path, published: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["to-orbax", str(published), str(tmp_path / "orbax"), "--dtype", "bfloat16"]) == 0
    numbers = {}
    for folder in (published, tmp_path / "orbax"):
        assert main(["inspect", str(folder), "--json"]) == 0
        numbers[folder.name] = json.loads(capsys.readouterr().out)
    assert numbers["orbax"]["kind"] == "orbax"
    assert numbers["orbax"]["parameters"] == numbers["published"]["parameters"]
    assert set(numbers["orbax"]["dtypes"]) == {"bfloat16"}


def test_the_table_names_the_family_and_every_setting(published: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["inspect", str(published)]) == 0
    shown = capsys.readouterr().out
    for expected in ("Chronos-2", "float32 (40)", "chronos_config.context_length", "8192", "num_heads"):
        assert expected in shown


def test_an_adapter_is_shown_with_its_base(
    reference_lora: Path, reference_checkpoint: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["inspect", str(reference_lora), "--base", str(reference_checkpoint), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["kind"], found["base"]) == ("lora", str(reference_checkpoint))


def test_weights_that_contradict_the_configuration_are_an_error(published: Path, capsys: pytest.CaptureFixture[str]):
    config = json.loads((published / "config.json").read_text())
    (published / "config.json").write_text(json.dumps(config | {"d_ff": 25}))
    assert main(["inspect", str(published)]) == 1
    assert "expected (25, 16)" in capsys.readouterr().err


def test_of_a_text_encoder_tokenizer_and_pooling_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    published = write_hub_bert(tmp_path / "published")
    assert main(["inspect", str(published), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["family"], found["tensors"]) == ("BERT", 5 + 3 * 16 + 2)
    assert found["unused"] == {"embeddings.position_ids": 1}
    assert found["dtypes"] == {"float32": found["tensors"]}, "of what is used"
    assert found["text"] == {"vocabulary": 1200, "max_tokens": 16, "pooling": "mean", "normalize": True}
    assert main(["inspect", str(published)]) == 0
    shown = capsys.readouterr().out
    for expected in (
        "BERT",
        "not used",
        "embeddings.position_ids (1)",
        "vocabulary",
        "1,200",
        "max_tokens",
        "16",
        "mean",
    ):
        assert expected in shown


def test_of_a_clip_the_text_tower_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["inspect", str(write_whole_clip(tmp_path / "published")), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["family"], found["tensors"]) == ("CLIP text", 2 + 3 * 16 + 2 + 1)
    assert sum(found["unused"].values()) == 5
    assert found["unused"]["logit_scale"] == 1
    assert found["config"]["model_type"] == "clip", "as it lies there"
    assert (found["text"]["pooling"], found["text"]["max_tokens"]) == ("end of text, projected", 40)
