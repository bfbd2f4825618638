from pathlib import Path

import pytest

from chronos_jax.checkpoints.companions import companions_in, is_companion


def test_the_files_of_tokenizer_and_pooling_are_found_by_their_place(tmp_path: Path):
    for place in ("tokenizer.json", "1_Pooling/config.json", "vocab.txt", "onnx/tokenizer.json", "README.md"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text(place)
    (tmp_path / "merges.txt").mkdir()
    found = companions_in(tmp_path)
    assert {place: path.read_text() for place, path in found.items()} == {
        place: place for place in ("tokenizer.json", "vocab.txt", "1_Pooling/config.json")
    }


@pytest.mark.parametrize(
    ("place", "belongs"),
    [
        ("modules.json", True),
        ("2_Pooling/config.json", True),
        ("1_Pooling/notes.txt", False),
        ("onnx/1_Pooling/config.json", False),
        ("onnx/vocab.txt", False),
        ("config.json", False),
    ],
)
def test_a_place_is_that_of_a_companion_or_not(place: str, belongs: bool):
    assert is_companion(place) == belongs
