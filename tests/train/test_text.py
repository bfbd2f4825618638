import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from train.text import PADDING, UNKNOWN, PrecomputedEmbeddings, WordVocabulary

TEXTS = ["Someone is in the kitchen", "in the KITCHEN, at 7:30", "the bed"]


def test_words_are_numbered_by_frequency_then_spelling() -> None:
    vocabulary = WordVocabulary.of(TEXTS)
    assert vocabulary.words[:5] == ("[PAD]", "[UNK]", "the", "in", "kitchen")
    assert vocabulary == WordVocabulary.of(reversed(TEXTS))
    assert vocabulary.max_words == 6  # "7:30" is two words


def test_texts_become_word_numbers() -> None:
    rows = WordVocabulary.of(TEXTS)(["The kitchen", "the garage", ""])
    assert rows.shape == (3, 6)
    assert rows[0].tolist() == [2, 4, PADDING, PADDING, PADDING, PADDING]
    assert rows[1, :2].tolist() == [2, UNKNOWN]
    assert not rows[2].any()


def test_longer_texts_than_those_of_training_are_whole() -> None:
    rows = WordVocabulary.of(["a b"])(["a b a b a", "b"])
    assert rows.shape == (2, 5)
    assert (rows[0] > UNKNOWN).all()


def test_no_texts_are_no_rows() -> None:
    assert WordVocabulary.of(TEXTS)([]).shape == (0, 6)


def test_a_vocabulary_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    vocabulary = WordVocabulary.of([*TEXTS, "café Straße"])
    vocabulary.save(tmp_path / "vocabulary.json")
    read = WordVocabulary.load(tmp_path / "vocabulary.json")
    assert read == vocabulary
    assert read.fingerprint == vocabulary.fingerprint != WordVocabulary.of(TEXTS).fingerprint


VECTORS = np.arange(6, dtype=np.float32).reshape(3, 2)


@pytest.mark.parametrize("ending", ["npz", "safetensors", "npz with texts inside"])
def test_precomputed_embeddings_are_looked_up_by_text(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"texts.{ending.split()[0]}"
    if ending == "safetensors":
        save_file({"embeddings": VECTORS}, path)
    elif ending == "npz":
        np.savez(path, embeddings=VECTORS)
    else:
        np.savez(path, embeddings=VECTORS, texts=np.array(TEXTS))
    if "inside" not in ending:
        path.with_suffix(".json").write_text(json.dumps(TEXTS))
    embeddings = PrecomputedEmbeddings.load(path)
    np.testing.assert_array_equal(embeddings([TEXTS[2], TEXTS[0], TEXTS[2]]), VECTORS[[2, 0, 2]])
    assert embeddings([]).shape == (0, 2)


def written(tmp_path: Path, embeddings: np.ndarray, texts: list[str]) -> Path:
    np.savez(tmp_path / "texts.npz", embeddings=embeddings, texts=np.array(texts))
    return tmp_path / "texts.npz"


def test_a_text_without_embedding_is_named(tmp_path: Path) -> None:
    embeddings = PrecomputedEmbeddings.load(written(tmp_path, VECTORS, TEXTS))
    with pytest.raises(ValueError, match="no embedding for 1 of 2 texts, such as 'in the garage'"):
        embeddings(["in the garage", TEXTS[0]])


def test_another_embedding_is_another_fingerprint(tmp_path: Path) -> None:
    first = PrecomputedEmbeddings.load(written(tmp_path, VECTORS, TEXTS)).fingerprint
    assert first != PrecomputedEmbeddings.load(written(tmp_path, VECTORS + 1, TEXTS)).fingerprint
    assert first == PrecomputedEmbeddings.load(written(tmp_path, VECTORS, TEXTS)).fingerprint


def test_what_is_wrong_with_a_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no file of text embeddings"):
        PrecomputedEmbeddings.load(tmp_path / "absent.npz")
    with pytest.raises(ValueError, match="3 embeddings need as many texts"):
        PrecomputedEmbeddings.load(written(tmp_path, VECTORS, TEXTS[:2]))
    with pytest.raises(ValueError, match="not finite"):
        PrecomputedEmbeddings.load(written(tmp_path, VECTORS * np.nan, TEXTS))
    with pytest.raises(ValueError, match=r"must be floats of shape \(texts, width\)"):
        PrecomputedEmbeddings.load(written(tmp_path, np.arange(3), TEXTS))
    save_file({"other": VECTORS}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="tensor 'embeddings'"):
        PrecomputedEmbeddings.load(tmp_path / "a.safetensors")
    save_file({"embeddings": VECTORS}, tmp_path / "b.safetensors")
    with pytest.raises(FileNotFoundError, match=r"b\.json"):
        PrecomputedEmbeddings.load(tmp_path / "b.safetensors")
    (tmp_path / "c.npz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match="is no NPZ file"):
        PrecomputedEmbeddings.load(tmp_path / "c.npz")
