import json

import pytest

from chronos_jax import Chronos2Config
from chronos_jax.chronos2.config import UnsupportedConfigError

PUBLISHED = Chronos2Config().to_dict()


def changed(**changes):
    raw = json.loads(json.dumps(PUBLISHED))
    for name, value in changes.items():
        (raw["chronos_config"] if name in raw["chronos_config"] else raw)[name] = value
    return raw


def test_the_published_form_round_trips():
    assert Chronos2Config.from_dict(PUBLISHED) == Chronos2Config()
    assert len(Chronos2Config().quantiles) == 21


def test_every_size_comes_from_the_file(reference_checkpoint):
    config = Chronos2Config.from_dict(json.loads((reference_checkpoint / "config.json").read_text()))
    assert (config.d_model, config.d_kv, config.d_ff, config.num_layers, config.num_heads) == (6, 4, 8, 2, 4)


def test_the_time_scale_defaults_to_the_context_length():
    raw = changed(context_length=2048)
    del raw["chronos_config"]["time_encoding_scale"]
    assert Chronos2Config.from_dict(raw).time_encoding_scale == 2048


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"feed_forward_proj": "gated-gelu"}, "gated activations"),
        ({"is_gated_act": True}, "gated activations"),
        ({"dense_act_fn": "gelu_new"}, "only the relu activation .*gelu_new"),
        ({"input_patch_stride": 8}, "overlapping patches .*16.*8"),
        ({"output_patch_size": 32}, "input and output patches .*16.*32"),
        ({"d_model": 0}, "d_model"),
        ({"d_model": "wide"}, "d_model"),
        ({"quantiles": [0.5, 0.1]}, "quantiles must be distinct and increasing"),
        ({"quantiles": [0.0, 0.5]}, "strictly between 0 and 1"),
        ({"d_kv": 5}, "d_kv must be even"),
        ({"architectures": ["ChronosBoltModelForForecasting"]}, "ChronosBoltModelForForecasting"),
        ({"rope_scaling": {"type": "yarn"}}, "rope_scaling"),
        ({"architectures": 5}, "checkpoint of 5"),
        ({"chronos_config": None}, "chronos_config must be a JSON object"),
        ({"chronos_config": {"use_magic": True}}, "unknown setting chronos_config.use_magic"),
        ({"vocab_size": 77}, "vocab_size must be 2 .*77"),
        ({"reg_token_id": 0}, "reg_token_id must be 1"),
    ],
)
def test_what_is_unsupported_is_named(changes, message):
    with pytest.raises(UnsupportedConfigError, match=message):
        Chronos2Config.from_dict(changed(**changes))


def test_all_problems_are_listed_at_once():
    with pytest.raises(UnsupportedConfigError, match=r"gated.*overlapping.*one size"):
        Chronos2Config.from_dict(changed(is_gated_act=True, input_patch_stride=8, output_patch_size=8))


def test_missing_sizes_are_named():
    raw = changed()
    del raw["d_ff"], raw["chronos_config"]["quantiles"]
    with pytest.raises(UnsupportedConfigError, match=r"d_ff is missing.*quantiles is missing"):
        Chronos2Config.from_dict(raw)


def test_other_checkpoints_are_refused():
    with pytest.raises(UnsupportedConfigError, match=r"no 'chronos_config' .*bert"):
        Chronos2Config.from_dict({"model_type": "bert"})
