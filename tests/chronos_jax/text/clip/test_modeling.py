"""Where a text is read off, and what it cannot see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from comparison import BOUND, relative_error
from flax import nnx
from text_models import CLIPS, text_reference, write_clip

from chronos_jax import TextEncoder
from chronos_jax.text.clip.config import LEGACY_EOS

TOKENS = np.array([[1198, 7, 9, 1199, 4, 1199, 5, 5], [1198, 30, 1199, 1199, 1199, 1199, 1199, 1199]], np.int32)


def embed(encoder, tokens, lengths):
    graphdef, state = nnx.split(encoder.model)

    @jax.jit
    def run(state, tokens, lengths):
        model = nnx.merge(graphdef, state)
        hidden = model(tokens, lengths)
        return hidden, model.project(hidden, tokens, lengths)

    return jax.device_get(run(state, tokens, np.array(lengths, np.int32)))


@pytest.mark.parametrize("eos_token_id", [1199, 5, LEGACY_EOS])
def test_a_text_is_read_off_where_transformers_does(eos_token_id, tmp_path):
    torch = pytest.importorskip("torch", reason="the PyTorch reference is not installed (extra: test)")
    folder = write_clip(
        tmp_path, CLIPS["tiny CLIP"].model_copy(update={"eos_token_id": eos_token_id, "num_hidden_layers": 1})
    )
    with torch.no_grad():
        expected = text_reference(folder)(input_ids=torch.tensor(TOKENS)).text_embeds.numpy()
    _, ours = embed(TextEncoder.from_pretrained(folder), TOKENS, [8, 8])
    assert relative_error(ours, expected) <= BOUND


def test_tokens_see_none_behind_them_and_none_behind_the_end(clip):
    before, projected = embed(clip, TOKENS, [8, 5])
    changed = TOKENS.copy()
    changed[0, 6:] = 11
    changed[1, 5:] = 12
    after, projected_after = embed(clip, changed, [8, 5])
    np.testing.assert_array_equal(before[0, :6], after[0, :6])
    np.testing.assert_array_equal(before[1, :5], after[1, :5])
    np.testing.assert_array_equal(projected, projected_after)
    assert np.abs(before[0, 6] - after[0, 6]).max() > 0.1


@pytest.mark.parametrize("eos_token_id", [1199, LEGACY_EOS])
def test_an_end_behind_the_length_of_a_text_is_not_its_end(eos_token_id, clip):
    model = clip.model
    model.config = model.config.model_copy(update={"eos_token_id": eos_token_id})
    hidden = jnp.array(np.random.default_rng(0).standard_normal((1, 4, 32)), jnp.float32)
    lengths = jnp.array([3])
    before, after = (model.project(hidden, jnp.array([[30, 4, 9, end]]), lengths) for end in (5, 1199))
    np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(before, model.text_projection(hidden[:, 0]))
