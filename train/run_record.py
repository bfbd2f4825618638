"""The record of a run in its folder: what it was configured with, what it reads, and whether that is still so."""

import json
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from chronos_jax.replacing import replacing
from train.checkpointing import has_checkpoint
from train.config import TrainConfig, read_config
from train.processes import say
from train.text import WordVocabulary
from train.text_encoder import TextInputs

CONFIG_FILE = "config.json"
TEXT_VOCABULARY_FILE = "text_vocabulary.json"
LIBRARIES = ("chronos-jax", "jax", "flax", "optax", "orbax-checkpoint", "grain", "numpy")


def record_start(config: TrainConfig, inputs: dict[str, Any], text_inputs: TextInputs, *, force: bool = False) -> None:
    """Begins a run (config.json, text vocabulary), or checks that the one that is there can go on with this.

    Until its first checkpoint there is nothing to go on with, and a run begins anew. A vocabulary that is missing is
    written again.

    Args:
        config: The resolved configuration; its `output_dir` is the folder.
        inputs: Hashes and identities of what the run reads besides: data, encoder.
        text_inputs: What captions become; a vocabulary is kept with the run, a file of embeddings stays where it is.
        force: Go on although something differs; nothing is replaced before `record_change`.

    Raises:
        ValueError: The folder has a run with another configuration, or made from other data or another encoder, and
            `force` is not set; or its config.json is damaged, or not a run's.
        FileNotFoundError: It has checkpoints, but no config.json, and `force` is not set.
    """
    if not has_checkpoint(config.output_dir):
        read_record(config.output_dir)  # a file that is not a run's is not replaced
        _record(config, inputs, text_inputs)
        return
    differences = _differences(config, inputs, text_inputs)
    if differences is None:
        missing = f"{config.output_dir / CONFIG_FILE} is missing: nothing says what the checkpoints were trained with"
        if not force:
            raise FileNotFoundError(
                f"{missing}. Put it back, or give --force to go on with the configuration given, or another output_dir "
                "to begin a new run"
            )
        say(f"going on although {missing}")
    elif differences:
        listed = "\n  ".join(differences)
        if not force:
            raise ValueError(
                f"{config.output_dir} holds a run that began with another configuration or other data:\n  {listed}\n"
                "Give the same ones to continue it, another output_dir to begin a new one, or --force to go on all the "
                "same"
            )
        say(f"going on although the run began with another configuration or other data:\n  {listed}")
    else:
        _keep(text_inputs, config.output_dir)


def record_change(config: TrainConfig, inputs: dict[str, Any], text_inputs: TextInputs) -> None:
    """Makes what differs the run's own, once a checkpoint has been restored with it; arguments as `record_start`."""
    if _differences(config, inputs, text_inputs) != []:
        _record(config, inputs, text_inputs)


def _differences(config: TrainConfig, inputs: dict[str, Any], text_inputs: TextInputs) -> list[str] | None:
    """What is not as the run began; None where nothing says how it began."""
    if (recorded := read_record(config.output_dir)) is None:
        return None
    stored, now = recorded["run"]["inputs"], _with_texts(inputs, text_inputs)
    began = read_config(config.output_dir / CONFIG_FILE).with_absolute_paths()
    return began.differences(config.with_absolute_paths()) + [
        f"{key}: {stored.get(key)!r} → {now[key]!r}" for key in now if stored.get(key) != now[key]
    ]


def read_record(run_dir: Path) -> dict[str, Any] | None:
    """What config.json of a run holds, None where there is none.

    Raises:
        ValueError: It is damaged, or the user's own.
    """
    path = run_dir / CONFIG_FILE
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ValueError(
            f"{path}, the configuration that the run began with, is damaged ({error}): put a copy of it back, or move "
            "that file elsewhere"
        ) from error
    if not isinstance(content, dict) or "run" not in content:
        raise ValueError(
            f"{path} is a configuration but no record of a run, which would replace it: move that file elsewhere, or "
            "give another output_dir"
        )
    if not isinstance(content["run"], dict) or not isinstance(content["run"].get("inputs"), dict):
        raise ValueError(
            f"{path}, the configuration that the run began with, is damaged (what it read is not in 'run'): put a copy "
            "of it back, or move that file elsewhere"
        )
    return content


def _record(config: TrainConfig, inputs: dict[str, Any], text_inputs: TextInputs) -> None:
    run = {"inputs": _with_texts(inputs, text_inputs), "versions": _versions()}
    content = config.with_absolute_paths().model_dump(mode="json") | {"run": run}
    config.output_dir.mkdir(parents=True, exist_ok=True)
    _keep(text_inputs, config.output_dir)
    with replacing(config.output_dir / CONFIG_FILE) as beside:  # last of all: a folder that has it is a run that began
        beside.write_text(json.dumps(content, indent=1))


def _with_texts(inputs: dict[str, Any], text_inputs: TextInputs) -> dict[str, Any]:
    return inputs | {"texts": text_inputs.fingerprint}


def _keep(text_inputs: TextInputs, run_dir: Path) -> None:
    if not isinstance(text_inputs, WordVocabulary):
        return
    with suppress(OSError, ValueError):
        if read_vocabulary(run_dir) == text_inputs:
            return
    with replacing(run_dir / TEXT_VOCABULARY_FILE) as beside:
        text_inputs.save(beside)


def read_vocabulary(run_dir: Path) -> WordVocabulary:
    """The words that the text tower of a run knows.

    Raises:
        FileNotFoundError, ValueError: Their file is missing or damaged, with what to do.
    """
    path = run_dir / TEXT_VOCABULARY_FILE
    remedy = "start the run again with its command, which writes it again"
    try:
        return WordVocabulary.load(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path}, the words that the text tower knows, is missing: {remedy}") from error
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{path}, the words that the text tower knows, is damaged ({error}): {remedy}") from error


def _versions() -> dict[str, str]:
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # chronos-jax, where it runs from a checkout that is not installed
            versions[name] = "not installed"
    return versions
