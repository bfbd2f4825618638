import json

import pytest
from text_models import write_json, write_sentence_files

from chronos_jax.checkpoints.errors import CheckpointError, UnsupportedConfigError
from chronos_jax.text.sentence_files import SentenceSettings, read_sentence_files


def test_without_files_it_is_the_mean_not_normalised(tmp_path):
    assert read_sentence_files(tmp_path) == SentenceSettings("mean", False, None, False)


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
@pytest.mark.parametrize("normalize", [True, False])
def test_pooling_and_normalisation_are_read(pooling, normalize, tmp_path):
    write_sentence_files(tmp_path, pooling, normalize, max_seq_length=256, do_lower_case=True)
    assert read_sentence_files(tmp_path) == SentenceSettings(pooling, normalize, 256, True)


def test_the_newer_way_to_write_them_is_read(tmp_path):
    write_sentence_files(tmp_path)
    modules = json.loads((tmp_path / "modules.json").read_text())
    modules[0]["type"] = "sentence_transformers.base.modules.transformer.Transformer"
    write_json(tmp_path / "modules.json", modules)
    write_json(tmp_path / "1_Pooling" / "config.json", {"embedding_dimension": 32, "pooling_mode": "cls"})
    assert read_sentence_files(tmp_path) == SentenceSettings("cls", True, None, False)


@pytest.mark.parametrize("kind", ["sentence_transformers.models.Dense", "custom_st.Transformer"])
def test_other_modules_are_refused_by_name(kind, tmp_path):
    write_sentence_files(tmp_path)
    modules = json.loads((tmp_path / "modules.json").read_text())
    modules[2 if "Dense" in kind else 0]["type"] = kind
    write_json(tmp_path / "modules.json", modules)
    with pytest.raises(UnsupportedConfigError, match=kind.removeprefix("sentence_transformers.models.")):
        read_sentence_files(tmp_path)


def test_a_transformer_in_a_folder_of_its_own_is_refused(tmp_path):
    write_sentence_files(tmp_path)
    modules = json.loads((tmp_path / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    write_json(tmp_path / "modules.json", modules)
    with pytest.raises(UnsupportedConfigError, match="Transformer in 0_Transformer"):
        read_sentence_files(tmp_path)


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"pooling_mode_mean_sqrt_len_tokens": True}, "pooling_mode_mean_sqrt_len_tokens"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, "mean and cls"),
        ({"pooling_mode": "lasttoken"}, "lasttoken"),
        ({}, "no pooling"),
    ],
)
def test_other_poolings_are_refused_by_name(config, found, tmp_path):
    write_sentence_files(tmp_path)
    write_json(tmp_path / "1_Pooling" / "config.json", config)
    with pytest.raises(UnsupportedConfigError, match=f"asks for {found}; expected exactly one of mean, cls, max"):
        read_sentence_files(tmp_path)


def test_a_prompt_before_every_text_is_refused(tmp_path):
    write_json(tmp_path / "config_sentence_transformers.json", {"default_prompt_name": "query"})
    with pytest.raises(UnsupportedConfigError, match="prompt 'query'"):
        read_sentence_files(tmp_path)


@pytest.mark.parametrize("content", ["{", "{}", "[1]", '[{"type": 1, "path": ""}]', '[{"path": ""}]'])
def test_a_damaged_list_of_modules_is_refused(content, tmp_path):
    (tmp_path / "modules.json").write_text(content)
    with pytest.raises((CheckpointError, UnsupportedConfigError), match=r"modules\.json"):
        read_sentence_files(tmp_path)


def test_an_absent_pooling_file_is_refused(tmp_path):
    write_sentence_files(tmp_path)
    (tmp_path / "1_Pooling" / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"1_Pooling has no config\.json"):
        read_sentence_files(tmp_path)


@pytest.mark.parametrize("limit", [0, "256", 1.5, True])
def test_a_limit_must_be_a_positive_number(limit, tmp_path):
    write_json(tmp_path / "sentence_bert_config.json", {"max_seq_length": limit})
    with pytest.raises(CheckpointError, match=rf"sentence_bert_config\.json has max_seq_length {limit!r}, expected"):
        read_sentence_files(tmp_path)
