from typing import Any

import pytest
from text_models import BERTS, CLIPS

from chronos_jax.checkpoints.errors import UnsupportedConfigError
from chronos_jax.checkpoints.weights import Weight, is_unused, published_shapes
from chronos_jax.chronos2.config import Chronos2Config
from chronos_jax.chronos2.params import weight_table
from chronos_jax.families import family_of


def names(table: list[Weight]) -> set[str]:
    return {name for name, _ in published_shapes(table)}


def test_a_configuration_leads_to_its_familys_weight_table():
    config = Chronos2Config(d_model=16, num_layers=2)
    assert family_of(config.to_dict(), ()) == ("Chronos-2", weight_table(config), config.to_dict(), (), None)


@pytest.mark.parametrize("stored", ["published", "orbax"])
def test_a_bert_has_a_pooler_where_one_is_stored(stored: str):
    config = BERTS["tiny BERT"].to_dict() | {"_name_or_path": "kept"}
    without = family_of(config, ["embeddings.LayerNorm.weight"])
    pooler = {"published": "pooler.dense.weight", "orbax": "pooler.kernel"}[stored]
    having = family_of(config, ["embeddings.LayerNorm.weight", pooler])
    assert names(having.table) - names(without.table) == {"pooler.dense.weight", "pooler.dense.bias"}
    assert having.name == without.name == "BERT"
    assert having.config == config, "as it is"
    assert is_unused("embeddings.position_ids", having.unused)


def test_a_clip_is_its_text_tower():
    text = CLIPS["tiny CLIP"]
    whole = {"model_type": "clip", "projection_dim": 24, "text_config": text.to_dict(), "vision_config": {}}
    family = family_of(whole, ["logit_scale"])
    assert family.name == "CLIP text"
    assert family.config == text.to_dict()
    assert family_of(family.config, []) == family, "what is written is read again"
    for name in ("vision_model.encoder.layers.0.mlp.fc1.weight", "visual_projection.weight", "logit_scale"):
        assert is_unused(name, family.unused)
    assert not any(is_unused(name, family.unused) for name in names(family.table))


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        (
            {"model_type": "llama", "architectures": ["LlamaForCausalLM"]},
            r"of type 'llama' .*LlamaForCausalLM.* is not",
        ),
        ({"model_type": "mpnet", "architectures": ["MPNetForMaskedLM"]}, r"of type 'mpnet' .* is not supported"),
        ({"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}, r"of type 't5'"),
        ({}, r"of type None .*supported are Chronos-2 .*, BERT .* and the text tower of CLIP"),
        ({"architectures": ["Chronos2Model"], "model_type": "t5"}, "it has no 'chronos_config'"),
    ],
)
def test_a_configuration_of_no_known_family_is_refused(config: dict[str, Any], complaint: str):
    with pytest.raises(UnsupportedConfigError, match=complaint):
        family_of(config, [])


def test_a_bert_within_another_model_is_refused_with_what_to_do():
    config = BERTS["tiny BERT"].to_dict() | {"architectures": ["BertForMaskedLM"]}
    with pytest.raises(UnsupportedConfigError, match=r"BertForMaskedLM.*'bert\.…'.*save_pretrained"):
        family_of(config, ["bert.embeddings.LayerNorm.weight", "cls.predictions.bias"])
