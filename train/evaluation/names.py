"""What tables and pages call the encoder and the text model of a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chronos_jax.chronos2.random_weights import PREFIX
from train.config import TrainConfig
from train.text import BAG_OF_WORDS


def encoder_name(run: Mapping[str, Any]) -> str:
    """The encoder of a run, by the part "run" of its report; "this run" where that does not say."""
    weights = run.get("weights")
    if weights is None:
        return str(run.get("encoder") or "this run")
    return "Chronos-2, random weights" if weights.startswith(PREFIX) else _without_folders(weights)


def text_name(text_model_name: str) -> str:
    """What text_model_name means: words, a file of embeddings, or a frozen encoder."""
    if text_model_name == BAG_OF_WORDS:
        return "bag of words"
    if TrainConfig.model_construct(text_model_name=text_model_name).has_file_of_embeddings:
        return f"text embeddings of {Path(text_model_name).name}"
    return f"frozen text encoder {_without_folders(text_model_name)}"


def _without_folders(name: str) -> str:
    """The last part of a folder's path; a name on the hub has two and keeps them."""
    return Path(name).name if Path(name).is_absolute() or Path(name).is_dir() else name
