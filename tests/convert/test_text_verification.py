import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from text_checkpoints import write_hub_bert, write_whole_clip
from text_models import transformers_module

from chronos_jax.text.bert.config import BertConfig
from convert.__main__ import main
from convert.text_verification import EXAMPLES, Outputs, compare


@pytest.fixture
def installed_reference() -> None:
    transformers_module()


@pytest.mark.usefixtures("installed_reference")
@pytest.mark.parametrize(
    "sentence",
    [
        {},
        {"pooling": "cls", "normalize": False},
        {"pooling": "max", "max_seq_length": None, "do_lower_case": True},
    ],
)
def test_a_bert_agrees_with_the_reference(tmp_path: Path, sentence: Any, capsys: pytest.CaptureFixture[str]):
    assert main(["verify", str(write_hub_bert(tmp_path / "published", **sentence))]) == 0
    shown = capsys.readouterr().out
    for name in (*EXAMPLES, "hidden", "embedding", "largest (bound 1e-05)"):
        assert name in shown


@pytest.mark.usefixtures("installed_reference")
def test_orbax_agrees_with_the_reference(tmp_path: Path):
    published = write_hub_bert(tmp_path / "published", pooler=False, dtype=np.float16)
    assert main(["to-orbax", str(published), str(tmp_path / "orbax")]) == 0
    assert main(["verify", str(tmp_path / "orbax")]) == 0


@pytest.mark.usefixtures("installed_reference")
def test_a_clip_agrees_with_the_reference_whole_and_as_a_tower(tmp_path: Path):
    published = write_whole_clip(tmp_path / "published")
    assert main(["verify", str(published)]) == 0
    assert main(["to-orbax", str(published), str(tmp_path / "orbax")]) == 0
    assert main(["verify", str(tmp_path / "orbax")]) == 0


@pytest.mark.usefixtures("installed_reference")
def test_a_configuration_that_the_reference_reads_otherwise_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    published = write_hub_bert(tmp_path / "published")
    original = BertConfig.from_dict.__func__
    other = {"layer_norm_eps": 1.0}
    monkeypatch.setattr(
        BertConfig, "from_dict", classmethod(lambda cls, raw: original(cls, raw).model_copy(update=other))
    )
    assert main(["verify", str(published)]) == 1
    assert "error: beyond 1e-05 of the reference for a word, a sentence, empty" in capsys.readouterr().err


@pytest.mark.usefixtures("installed_reference")
def test_an_adapter_is_to_be_merged_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    base = write_hub_bert(tmp_path / "published")
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    assert main(["verify", str(adapter), "--base", str(base)]) == 1
    assert "merge it with `python -m convert to-safetensors`" in capsys.readouterr().err


def test_without_the_reference_it_is_said_before_anything_is_looked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["verify", "no/such/model"]) == 1
    message = capsys.readouterr().err
    assert "which is not installed" in message
    assert "pip install torch transformers" in message


def test_both_quantities_are_compared_and_the_number_of_tokens():
    def outputs(tokens: int = 3, hidden: float = 0.0, embedding: float = 0.0) -> Outputs:
        states, vector = np.full((tokens, 2), 2.0), np.full(4, -0.5)
        states[0, 0] += hidden
        vector[0] += embedding
        return Outputs(states, vector)

    same = {"hidden": 0.0, "embedding": 0.0}
    assert compare(outputs(), outputs()) == same
    assert compare(outputs(hidden=1e-3), outputs()) == same | {"hidden": pytest.approx(5e-4)}
    assert compare(outputs(embedding=1e-3), outputs()) == same | {"embedding": pytest.approx(2e-3)}
    assert compare(outputs(tokens=4), outputs()) == {"hidden": np.inf, "embedding": np.inf}
    assert np.isnan(compare(outputs(embedding=np.nan), outputs())["embedding"])
