import copy

import pytest
from text_models import CLIPS, transformers_module

from chronos_jax.checkpoints.errors import UnsupportedConfigError
from chronos_jax.text.clip.config import ClipTextConfig

CONFIG = CLIPS["tiny CLIP"]


def test_the_form_of_the_tower_alone_is_read_and_written():
    raw = CONFIG.to_dict()
    assert raw["model_type"] == "clip_text_model"
    assert ClipTextConfig.from_dict(raw) == CONFIG


def test_transformers_reads_it_as_the_same_sizes():
    theirs = transformers_module().CLIPTextConfig(**CONFIG.to_dict())
    assert {name: getattr(theirs, name) for name in CONFIG.model_dump()} == CONFIG.model_dump()


def test_the_tower_is_found_in_the_configuration_of_the_whole():
    text = CONFIG.to_dict() | {"projection_dim": 999}
    raw = {"model_type": "clip", "projection_dim": 24, "text_config": text, "vision_config": {"hidden_size": 8}}
    assert ClipTextConfig.from_dict(raw) == CONFIG


def test_what_the_whole_does_not_say_has_the_published_default():
    raw = {"model_type": "clip", "text_config": {"hidden_act": "gelu"}}
    assert ClipTextConfig.from_dict(raw) == ClipTextConfig(hidden_act="gelu")


@pytest.mark.parametrize(
    ("wins", "layers", "activation"),
    [({"hidden_act": "gelu"}, 12, "gelu"), ({}, 12, "quick_gelu"), (None, 2, "quick_gelu")],
)
def test_text_config_dict_wins_as_in_transformers(wins, layers, activation):
    raw = {"model_type": "clip", "text_config": {"num_hidden_layers": 2}, "text_config_dict": wins}
    ours = ClipTextConfig.from_dict(raw)
    # transformers completes the dictionary that it is given.
    theirs = transformers_module().CLIPConfig(**copy.deepcopy(raw)).text_config
    assert (ours.num_hidden_layers, ours.hidden_act) == (layers, activation)
    assert (theirs.num_hidden_layers, theirs.hidden_act) == (layers, activation)


@pytest.mark.parametrize("key", ["text_config", "text_config_dict"])
def test_a_tower_that_is_no_object_is_refused_by_its_name(key):
    with pytest.raises(UnsupportedConfigError, match=rf"{key} must be a JSON object, found \[\]"):
        ClipTextConfig.from_dict({"model_type": "clip", key: []})


def test_everything_that_is_not_supported_is_named_at_once():
    raw = CONFIG.to_dict() | {"hidden_act": "mish", "eos_token_id": [1, 2], "quantization_config": {"bits": 4}}
    with pytest.raises(UnsupportedConfigError, match="cannot use this CLIP configuration") as caught:
        ClipTextConfig.from_dict(raw)
    for name in ("hidden_act", "eos_token_id", "quantization_config"):
        assert name in str(caught.value)
