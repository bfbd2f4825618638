import json
import re
import shutil

import numpy as np
import pytest
from text_models import BERTS, bert_tokenizer, write_json

from chronos_jax.checkpoints.errors import CheckpointError
from chronos_jax.text.sentence_files import SentenceSettings
from chronos_jax.text.tokens import TextTokenizer

CONFIG = BERTS["tiny BERT"]
NOTHING = SentenceSettings()


def tokenizer(folder, config=CONFIG, **settings):
    return TextTokenizer(folder, config, NOTHING._replace(**settings))


def encode(found, *texts):
    return [row.tolist() for row in found(texts)]


@pytest.fixture
def folder(bert_folder, tmp_path):
    """A tokenizer that may be changed."""
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(bert_folder / name, tmp_path)
    return tmp_path


def change(path, **changes):
    content = json.loads(path.read_text()) | changes
    write_json(path, {key: value for key, value in content.items() if value is not None})


def test_a_text_begins_and_ends_with_special_tokens(folder):
    (row,) = encode(tokenizer(folder), "the stove")
    known = bert_tokenizer(CONFIG.vocab_size)
    assert [known.id_to_token(i) for i in row] == ["[CLS]", "the", "stove", "[SEP]"]


@pytest.mark.parametrize(
    ("of_sentence_files", "of_tokenizer", "expected"),
    [(20, 30, 20), (None, 30, 30), (None, 512, 64), (200, 30, 64), (None, 1e30, 64), (None, None, 64)],
)
def test_the_limit_is_the_one_that_is_said_and_never_more_than_there_are_positions(
    of_sentence_files, of_tokenizer, expected, folder
):
    change(folder / "tokenizer_config.json", model_max_length=of_tokenizer)
    found = tokenizer(folder, max_tokens=of_sentence_files)
    assert found.max_tokens == expected
    (row,) = encode(found, "a " * 500)
    assert len(row) == expected
    assert row[-1] == encode(found, "a")[0][-1]  # the end of the text is not cut off


@pytest.mark.parametrize("limit", ["512", -1, 0, 2, 20.5, True, [512], float("nan"), float("inf")])
def test_a_limit_that_leaves_no_room_for_a_text_is_refused(limit, folder):
    change(folder / "tokenizer_config.json", model_max_length=limit)
    found = re.escape(
        f"tokenizer_config.json has model_max_length {limit!r}, expected a whole number of tokens above 2"
    )
    with pytest.raises(CheckpointError, match=found):
        tokenizer(folder)


def test_so_is_that_of_the_sentence_files_and_of_the_model(folder):
    with pytest.raises(CheckpointError, match=r"sentence_bert_config\.json has max_seq_length 2, .* above 2"):
        tokenizer(folder, max_tokens=2)
    with pytest.raises(CheckpointError, match=r"/config\.json has max_position_embeddings 2, .* above 2"):
        tokenizer(folder, CONFIG.model_copy(update={"max_position_embeddings": 2}))


def test_true_is_no_limit_of_one_token(folder):
    bare = bert_tokenizer(CONFIG.vocab_size)
    bare.post_processor = None  # adds no special tokens, so that one has room
    bare.save(str(folder / "tokenizer.json"))
    change(folder / "tokenizer_config.json", model_max_length=1)
    assert tokenizer(folder).max_tokens == 1
    change(folder / "tokenizer_config.json", model_max_length=True)
    with pytest.raises(CheckpointError, match="model_max_length True, expected a whole number of tokens above 0"):
        tokenizer(folder)


def test_one_token_beside_the_special_ones_is_enough(folder):
    (row,) = encode(tokenizer(folder, max_tokens=3), "the stove")
    assert row == encode(tokenizer(folder), "the")[0]


def test_how_the_tokenizer_was_last_used_is_ignored(folder):
    used = bert_tokenizer(CONFIG.vocab_size)
    before = encode(tokenizer(folder), "a", "a " * 50)
    used.enable_truncation(7)
    used.enable_padding(length=9, pad_token="[MASK]", pad_id=4)
    used.save(str(folder / "tokenizer.json"))
    found = tokenizer(folder)
    assert encode(found, "a", "a " * 50) == before
    assert found.pad_id == 0


def test_texts_are_lowered_where_the_sentence_files_say_so(folder):
    """By a tokenizer that lowers nothing itself, and knows no capitals."""
    as_it_is = bert_tokenizer(CONFIG.vocab_size)
    as_it_is.normalizer = None
    as_it_is.save(str(folder / "tokenizer.json"))
    plain, lowering = (tokenizer(folder, lowercase=flag) for flag in (False, True))
    assert encode(lowering, "THE Stove") == encode(plain, "the stove") != encode(plain, "THE Stove")


def test_halves_of_surrogate_pairs_are_joined_or_replaced(folder):
    found = tokenizer(folder)
    assert encode(found, "a \ud83d\ude00 b", "a \ud83d b") == encode(found, "a 😀 b", "a \ufffd b")


@pytest.mark.parametrize("pad_token", ["[MASK]", {"content": "[MASK]", "lstrip": False}])
@pytest.mark.parametrize("file", ["tokenizer_config.json", "special_tokens_map.json"])
def test_the_padding_token_is_the_one_that_a_file_names(file, pad_token, folder):
    write_json(folder / "tokenizer_config.json", {})
    write_json(folder / file, {"pad_token": pad_token})
    assert tokenizer(folder).pad_id == 4


def test_else_it_is_that_of_the_last_use_and_else_that_of_the_model(folder):
    write_json(folder / "tokenizer_config.json", {})
    assert tokenizer(folder, CONFIG.model_copy(update={"pad_token_id": 3})).pad_id == 3
    used = bert_tokenizer(CONFIG.vocab_size)
    used.enable_padding(pad_id=4, pad_token="[MASK]")
    used.save(str(folder / "tokenizer.json"))
    assert tokenizer(folder, CONFIG.model_copy(update={"pad_token_id": 3})).pad_id == 4


def test_a_tokenizer_without_padding_token_is_refused(folder):
    change(folder / "tokenizer_config.json", pad_token=None)
    with pytest.raises(CheckpointError, match=r'has no padding token.*name one of its tokens as "pad_token"'):
        tokenizer(folder)


def test_a_padding_token_that_is_unknown_is_refused(folder):
    change(folder / "tokenizer_config.json", pad_token="<pad>")
    with pytest.raises(CheckpointError, match=r"names the padding token '<pad>', which tokenizer\.json does not know"):
        tokenizer(folder)


@pytest.mark.parametrize("pad_token", [["[PAD]"], 0, False, {}, {"content": None}, {"content": 0}])
@pytest.mark.parametrize("file", ["tokenizer_config.json", "special_tokens_map.json"])
def test_a_padding_token_that_is_no_text_is_refused(file, pad_token, folder):
    write_json(folder / "tokenizer_config.json", {})
    write_json(folder / file, {"pad_token": pad_token})
    found = re.escape(f"{file} has pad_token {pad_token!r}, expected a token of tokenizer.json as a string")
    with pytest.raises(CheckpointError, match=found):
        tokenizer(folder)


def test_a_folder_without_tokenizer_is_refused(folder):
    (folder / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"has no tokenizer\.json.*AutoTokenizer"):
        tokenizer(folder)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b'{"model": {"type": "Unheard"}}'])
def test_a_damaged_tokenizer_is_refused(content, folder):
    (folder / "tokenizer.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json is no tokenizer"):
        tokenizer(folder)


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(folder):
    with pytest.raises(CheckpointError, match="token ids up to 1199, the model only 1000 tokens"):
        tokenizer(folder, CONFIG.model_copy(update={"vocab_size": 1000}))


def test_many_texts_are_tokenised_in_parts(folder, monkeypatch):
    found = tokenizer(folder)
    texts = ["a " * n for n in range(10)]
    whole = encode(found, *texts)
    monkeypatch.setattr("chronos_jax.text.tokens._AT_ONCE", 3)
    assert encode(found, *texts) == whole
    assert all(row.dtype == np.int32 for row in found(texts))
