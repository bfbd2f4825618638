import pytest
from text_models import BERTS, transformers_module

from chronos_jax.checkpoints.errors import UnsupportedConfigError
from chronos_jax.text.bert.config import BertConfig

CONFIG = BERTS["tiny BERT"]


def test_the_published_form_is_read_and_written():
    raw = CONFIG.to_dict()
    assert raw["model_type"] == "bert"
    assert BertConfig.from_dict(raw) == CONFIG


def test_what_does_not_change_the_network_is_ignored():
    more = {"hidden_dropout_prob": 0.1, "use_cache": True, "transformers_version": "4.8.2", "auto_map": None}
    assert BertConfig.from_dict(CONFIG.to_dict() | more) == CONFIG


def test_transformers_reads_it_as_the_same_sizes():
    theirs = transformers_module().BertConfig(**CONFIG.to_dict())
    assert {name: getattr(theirs, name) for name in CONFIG.model_dump()} == CONFIG.model_dump()


def test_everything_that_is_not_supported_is_named_at_once():
    raw = CONFIG.to_dict() | {
        "position_embedding_type": "alibi",
        "is_decoder": True,
        "hidden_act": "mish",
        "auto_map": {"AutoModel": "modeling.Model"},
        "num_hidden_layers": 0,
    }
    del raw["vocab_size"]
    with pytest.raises(UnsupportedConfigError, match="cannot use this BERT configuration") as caught:
        BertConfig.from_dict(raw)
    for name in ("alibi", "is_decoder True", "hidden_act", "auto_map", "num_hidden_layers", "vocab_size"):
        assert name in str(caught.value)


def test_heads_must_divide_the_width():
    with pytest.raises(UnsupportedConfigError, match="multiple of num_attention_heads, found 32 and 5"):
        BertConfig.from_dict(CONFIG.to_dict() | {"num_attention_heads": 5})
