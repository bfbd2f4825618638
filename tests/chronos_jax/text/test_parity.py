"""Parity with transformers, on weights that behave as trained ones and tokenizers of the same make."""

import jax
import numpy as np
import pytest
from comparison import BOUND, relative_error
from flax import nnx
from text_models import (
    BERTS,
    CLIPS,
    LONG,
    SHORT,
    text_reference,
    transformers_module,
    write_bert,
    write_clip,
)

from chronos_jax import TextEncoder

SIZES = [
    "tiny BERT",
    "tiny CLIP",
    *(
        pytest.param(size, marks=pytest.mark.full_size)
        for size in ("all-MiniLM-L6-v2", "gte-base", "clip-vit-base-patch32")
    ),
]

FEW = ["a person walks", "", "the stove", "the bathroom and the bedroom in the night"]
"""Of one shape."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Size → folder with random weights; BERTs without the files of sentence-transformers."""
    room = tmp_path_factory.mktemp("checkpoints")

    def write(size):
        if not (room / size).exists():
            if size in BERTS:
                write_bert(room / size, BERTS[size])
            else:
                write_clip(room / size, CLIPS[size])
        return room / size

    return write


def run_reference(folder, texts, limit, **options):
    """Token ids, lengths, hidden states and embeddings as transformers gives them for one padded batch."""
    tokenizer = transformers_module().AutoTokenizer.from_pretrained(folder)
    import torch

    batch = tokenizer(texts, padding=True, truncation=True, max_length=limit, return_tensors="pt")
    batch.pop("token_type_ids", None)
    with torch.no_grad():
        outputs = text_reference(folder, **options)(**batch)
    hidden = outputs.last_hidden_state.float()
    if "text_embeds" in outputs:
        vectors = outputs.text_embeds.float()
    else:
        mask = batch["attention_mask"][..., None].float()
        vectors = (hidden * mask).sum(1) / mask.sum(1)
    tokens, mask = batch["input_ids"].numpy(), batch["attention_mask"].numpy()
    return tokens.astype(np.int32), mask.sum(1).astype(np.int32), hidden.numpy(), vectors.numpy()


def hidden_states(encoder, tokens, lengths):
    graphdef, state = nnx.split(encoder.model)
    return np.asarray(jax.jit(lambda state, *x: nnx.merge(graphdef, state)(*x))(state, tokens, lengths))


@pytest.mark.parametrize("size", SIZES)
def test_tokens_hidden_states_and_embeddings_agree_in_float32(size, checkpoint):
    encoder = TextEncoder.from_pretrained(checkpoint(size))
    found, expected = [], []
    for texts in (SHORT, LONG):
        tokens, lengths, hidden, vectors = run_reference(checkpoint(size), texts, encoder.max_tokens)
        for ours, row, length in zip(encoder.tokenizer(texts), tokens, lengths, strict=True):
            np.testing.assert_array_equal(ours, row[:length])
        valid = np.arange(tokens.shape[1])[None] < lengths[:, None]
        assert relative_error(hidden_states(encoder, tokens, lengths)[valid], hidden[valid]) <= BOUND
        found.append(encoder.embed(texts))
        expected.append(vectors)
    assert lengths.max() == encoder.max_tokens  # something was left out
    assert relative_error(np.concatenate(found), np.concatenate(expected)) <= BOUND


@pytest.mark.parametrize("size", ["tiny BERT", "tiny CLIP"])
def test_in_bfloat16_the_port_is_nearer_to_float32_than_the_reference(size, checkpoint):
    encoder = TextEncoder.from_pretrained(checkpoint(size), dtype="bfloat16")
    *_, exact = run_reference(checkpoint(size), FEW, encoder.max_tokens)
    *_, theirs = run_reference(checkpoint(size), FEW, encoder.max_tokens, dtype="bfloat16")
    ours = encoder.embed(FEW)
    assert 0 < np.square(ours - exact).mean() < np.square(theirs - exact).mean()


@pytest.mark.parametrize("activation", ["gelu_new", "quick_gelu", "relu"])
def test_other_activations_agree(activation, tmp_path):
    config = BERTS["tiny BERT"].model_copy(update={"hidden_act": activation, "num_hidden_layers": 1})
    folder = write_bert(tmp_path, config)
    encoder = TextEncoder.from_pretrained(folder)
    *_, expected = run_reference(folder, FEW, encoder.max_tokens)
    assert relative_error(encoder.embed(FEW), expected) <= BOUND
