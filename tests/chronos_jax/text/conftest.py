"""Tiny text encoders, each written and compiled once."""

import pytest
from text_models import BERTS, CLIPS, write_bert, write_clip

from chronos_jax import TextEncoder


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory):
    """A BERT with mean pooling and normalisation, as most sentence encoders are; not to be changed."""
    return write_bert(tmp_path_factory.mktemp("bert"), BERTS["tiny BERT"], pooling="mean", normalize=True)


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory):
    """A text tower of CLIP; not to be changed."""
    return write_clip(tmp_path_factory.mktemp("clip"), CLIPS["tiny CLIP"])


@pytest.fixture(scope="session")
def bert(bert_folder):
    return TextEncoder.from_pretrained(bert_folder)


@pytest.fixture(scope="session")
def clip(clip_folder):
    return TextEncoder.from_pretrained(clip_folder)
