from pathlib import Path

import pytest

from train.evaluation.names import encoder_name, text_name


@pytest.mark.parametrize(
    ("run", "name"),
    [
        ({"encoder": "chronos2", "weights": "random:chronos-2"}, "Chronos-2, random weights"),
        ({"encoder": "chronos2", "weights": "amazon/chronos-2"}, "amazon/chronos-2"),
        ({"encoder": "chronos2", "weights": "/models/chronos-2"}, "chronos-2"),
        ({"encoder": "statistics", "weights": None}, "statistics"),
        ({}, "this run"),
    ],
)
def test_encoders_are_called_by_their_weights(run: dict[str, str | None], name: str) -> None:
    assert encoder_name(run) == name


@pytest.mark.parametrize(
    ("text_model_name", "name"),
    [
        ("bag-of-words", "bag of words"),
        ("/texts/minilm.npz", "text embeddings of minilm.npz"),
        ("minilm.safetensors", "text embeddings of minilm.safetensors"),
        ("thenlper/gte-base", "frozen text encoder thenlper/gte-base"),
        ("/models/all-MiniLM-L6-v2/", "frozen text encoder all-MiniLM-L6-v2"),
    ],
)
def test_text_models_are_called_by_what_they_are(text_model_name: str, name: str) -> None:
    assert text_name(text_model_name) == name


def test_a_folder_beside_is_no_name_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models" / "minilm").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert text_name("models/minilm") == "frozen text encoder minilm"
