import jax.numpy as jnp
import numpy as np
import pytest

from chronos_jax import Chronos2Pipeline
from chronos_jax.chronos2.random_weights import LOGIT_STD, SIZES, parse_random_name, random_params, random_tensors


def test_the_same_seed_gives_the_same_weights_and_another_gives_others():
    once, again, other = (random_tensors(SIZES["tiny"], seed) for seed in (0, 0, 1))
    for name, tensor in once.items():
        np.testing.assert_array_equal(tensor, again[name])
        assert not np.array_equal(tensor, other[name])


def test_attention_logits_spread_as_in_a_trained_model():
    config = SIZES["chronos-2-small"]
    blocks = random_params(config)["encoder"]["blocks"]["time_attention"]
    x = jnp.asarray(np.random.default_rng(0).standard_normal((200, config.d_model)), jnp.float32)
    q, k = (np.asarray(x @ blocks[p]["kernel"][0]).reshape(200, config.num_heads, -1) for p in "qk")
    assert np.einsum("qhd,khd->hqk", q, k).std() == pytest.approx(LOGIT_STD, rel=0.1)


def test_the_encoder_keeps_the_size_of_what_passes_through_it():
    embedding = Chronos2Pipeline.from_pretrained("random:tiny").embed(np.random.default_rng(0).random((2, 3, 64)))[0]
    assert 0.5 < np.std(embedding) < 2


def test_names():
    assert parse_random_name("amazon/chronos-2") is None
    assert parse_random_name("random:tiny") == (SIZES["tiny"], 0)
    assert parse_random_name("random:chronos-2@7") == (SIZES["chronos-2"], 7)
    for name in ("random:huge", "random:tiny@x", "random:"):
        with pytest.raises(ValueError, match="one of chronos-2, chronos-2-small, tiny"):
            parse_random_name(name)
