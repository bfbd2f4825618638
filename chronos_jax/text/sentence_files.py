"""What the files that sentence-transformers keeps beside a model say of how a text becomes one vector."""

from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, TypeAdapter, ValidationError

from chronos_jax.checkpoints.errors import CheckpointError, UnsupportedConfigError
from chronos_jax.checkpoints.sources import read_json
from chronos_jax.text.pooling import Pooling

MODULES = "modules.json"
TRANSFORMER = "sentence_bert_config.json"
LIMIT = "max_seq_length"

_FLAGS: dict[str, Pooling] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
}


class _Module(BaseModel):
    type: str
    path: str


class SentenceSettings(NamedTuple):
    """How a text becomes one vector; the defaults are what sentence-transformers makes of a plain model.

    Attributes:
        pooling: How the states of a text's tokens become one.
        normalize: Whether the vector is divided by its norm.
        max_tokens: The most tokens of a text, special ones included; None where the files do not say.
        lowercase: Whether texts are lowered before the tokenizer sees them, whatever that does.
    """

    pooling: Pooling = "mean"
    normalize: bool = False
    max_tokens: int | None = None
    lowercase: bool = False


def read_sentence_files(folder: Path) -> SentenceSettings:
    """The settings of a model's folder; the defaults where the files are absent.

    Raises:
        CheckpointError: A file is damaged, or named by modules.json and absent.
        UnsupportedConfigError: A module, a pooling or a prompt that is not supported, by name.
    """
    transformer = _optional(folder / TRANSFORMER)
    prompts = _optional(folder / "config_sentence_transformers.json")
    if (prompt := prompts.get("default_prompt_name")) is not None:
        raise UnsupportedConfigError(f"{folder} puts the prompt {prompt!r} before every text, which is not supported")
    limit = transformer.get(LIMIT)
    if limit is not None and (type(limit) is not int or limit < 1):  # JSON's true is an int, too
        raise CheckpointError(f"{folder / TRANSFORMER} has {LIMIT} {limit!r}, expected a whole number of at least 1")
    settings = SentenceSettings(max_tokens=limit, lowercase=bool(transformer.get("do_lower_case")))
    if not (folder / MODULES).exists():
        return settings
    types, paths = _modules(folder)
    if types not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]) or paths[0] != "":
        found = ", ".join(f"{kind} in {path or '.'}" for kind, path in zip(types, paths, strict=True))
        raise UnsupportedConfigError(
            f"{folder / MODULES} asks for {found or 'nothing'}; supported are Transformer in the folder itself and "
            "Pooling, with or without Normalize"
        )
    return settings._replace(pooling=_pooling(folder / paths[1] / "config.json"), normalize=len(types) == 3)


def _modules(folder: Path) -> tuple[list[str], list[str]]:
    """Types (the class's name alone for the library's own modules) and folders."""
    path = folder / MODULES
    try:
        modules = TypeAdapter(list[_Module]).validate_json(path.read_bytes())
    except ValidationError as error:
        raise CheckpointError(f"{path} must be a JSON list of objects with 'type' and 'path': {error}") from error
    own = "sentence_transformers."
    types = [module.type.rpartition(".")[2] if module.type.startswith(own) else module.type for module in modules]
    return types, [module.path for module in modules]


def _pooling(path: Path) -> Pooling:
    raw = read_json(path)
    asked = [_FLAGS.get(key, key) for key, value in raw.items() if key.startswith("pooling_mode_") and value]
    if isinstance(mode := raw.get("pooling_mode"), str):  # how newer releases write it
        asked.append(mode)
    for pooling in _FLAGS.values():
        if asked == [pooling]:
            return pooling
    raise UnsupportedConfigError(
        f"{path} asks for {' and '.join(asked) or 'no pooling'}; expected exactly one of {', '.join(_FLAGS.values())}"
    )


def _optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.exists() else {}
