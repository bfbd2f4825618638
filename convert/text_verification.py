"""Text encoders through this implementation and through transformers, compared."""

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from chronos_jax.checkpoints.companions import companions_in
from chronos_jax.checkpoints.errors import CheckpointError
from chronos_jax.checkpoints.loading import open_params
from chronos_jax.checkpoints.saving import write_safetensors
from chronos_jax.checkpoints.sources import Source, load_config
from chronos_jax.checkpoints.weights import ReadWeight
from chronos_jax.families import Family
from convert.reference import relative

EXAMPLES = {
    "a word": "kitchen",
    "a sentence": "Someone gets up at night, walks to the bathroom and goes back to bed.",
    "empty": "",
    "emoji": "🛏️ asleep 😴, then ☕ in the kitchen 👩‍🍳",
    "other scripts": "Она спит в спальне. 台所で朝食を作る。 Café crème à la cuisine.",
    "beyond the limit": "The motion sensor in the hall fires, then the one in the kitchen. " * 150,
}
"""Texts by what they try."""


class Outputs(NamedTuple):
    """What a model says of one text."""

    hidden: Float[np.ndarray, "s d"]
    embedding: Float[np.ndarray, " e"]


def differences(source: Source, family: Family) -> dict[str, dict[str, float]]:
    """Text → quantity → the largest relative difference from the reference (see `compare`).

    Raises:
        CheckpointError: the checkpoint is damaged, has no usable tokenizer, or is an adapter.
        UnsupportedConfigError: a module or a pooling that is not supported.
    """
    if source.kind == "lora":
        raise CheckpointError(
            f"{source.folder} is an adapter of a text encoder, and verify compares whole ones: "
            "merge it with `python -m convert to-safetensors` and verify the result"
        )
    read = open_params(source, family.table, unused=family.unused)  # checks what a vector does not need, too
    ours = _ours(source)
    with _reference_folder(source, family, read) as folder:
        theirs = _theirs(folder)
    return {name: compare(ours[name], theirs[name]) for name in EXAMPLES}


def compare(ours: Outputs, theirs: Outputs) -> dict[str, float]:
    """Largest difference of each quantity, relative to the reference's largest value.

    Not finite where a value is not, nor where the two made different numbers of tokens of the text.
    """
    if ours.hidden.shape != theirs.hidden.shape:
        return dict.fromkeys(Outputs._fields, float("inf"))
    return {name: relative(getattr(ours, name), getattr(theirs, name)) for name in Outputs._fields}


def _ours(source: Source) -> dict[str, Outputs]:
    """All texts in one batch, most of which is padding: an output does not depend on it."""
    import jax
    from flax import nnx

    from chronos_jax.text.encoder import TextEncoder

    texts = list(EXAMPLES.values())
    with jax.default_matmul_precision("highest"):
        encoder = TextEncoder.from_pretrained(source.folder)
        embeddings_NxE = encoder.embed(texts)
        tokens = list(encoder.tokenizer(texts))
        lengths_N = np.array([len(ids) for ids in tokens], np.int32)
        tokens_NxS = np.full((len(texts), lengths_N.max()), encoder.tokenizer.pad_id, np.int32)
        for row, ids in zip(tokens_NxS, tokens, strict=True):
            row[: len(ids)] = ids
        hidden_NxSxD = np.asarray(nnx.jit(lambda model, *batch: model(*batch))(encoder.model, tokens_NxS, lengths_N))
    return {
        name: Outputs(hidden_NxSxD[number, : lengths_N[number]], embeddings_NxE[number])
        for number, name in enumerate(EXAMPLES)
    }


def _theirs(folder: Path) -> dict[str, Outputs]:
    """Each text by itself, without padding."""
    import torch
    import transformers

    from chronos_jax.text.sentence_files import read_sentence_files

    settings = read_sentence_files(folder)
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()  # it lists what it leaves out of a checkpoint
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model_type = load_config(Source("safetensors", folder))["model_type"]
        reference: Any = {
            "bert": transformers.BertModel,
            "clip": transformers.CLIPModel,
            "clip_text_model": transformers.CLIPTextModelWithProjection,
        }[model_type]
        model = reference.from_pretrained(folder, dtype=torch.float32)
    tower = model if model_type == "bert" else model.text_model
    limit = min(settings.max_tokens or tokenizer.model_max_length, tower.config.max_position_embeddings)

    def run(text: str) -> Outputs:
        text = text.lower() if settings.lowercase else text
        states = tower(**tokenizer(text, truncation=True, max_length=limit, return_tensors="pt"))
        hidden_SxD = states.last_hidden_state[0]
        if model_type != "bert":
            return Outputs(hidden_SxD.numpy(), model.text_projection(states.pooler_output)[0].numpy())
        pooled = {"mean": hidden_SxD.mean(0), "cls": hidden_SxD[0], "max": hidden_SxD.max(0).values}[settings.pooling]
        embedding_D = torch.nn.functional.normalize(pooled, dim=0) if settings.normalize else pooled
        return Outputs(hidden_SxD.numpy(), embedding_D.numpy())

    model.eval()
    with torch.no_grad():
        return {name: run(text) for name, text in EXAMPLES.items()}


@contextmanager
def _reference_folder(source: Source, family: Family, read: ReadWeight) -> Iterator[Path]:
    """The folder that transformers loads: for Orbax, one with the same arrays as safetensors."""
    if source.kind != "orbax":
        yield source.folder
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "safetensors"
        companions = companions_in(source.folder)
        write_safetensors(folder, family.table, read, np.dtype(np.float32), family.config, companions=companions)
        yield folder
