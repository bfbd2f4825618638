"""From a hub name or a folder to the files of a checkpoint, and its configuration."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from chronos_jax.checkpoints import orbax, safetensors_files
from chronos_jax.checkpoints.companions import COMPANIONS
from chronos_jax.checkpoints.destination import CONFIG
from chronos_jax.checkpoints.errors import CheckpointError
from chronos_jax.checkpoints.lora import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from chronos_jax.checkpoints.safetensors_files import INDEX, SINGLE

# Exact names: "*" would match folders too, and repositories hold the same weights in other precisions and formats.
SHARDS = "model-?????-of-?????.safetensors"
HUB_PATTERNS = [CONFIG, SINGLE, INDEX, SHARDS, ADAPTER_CONFIG, ADAPTER_WEIGHTS, *COMPANIONS]


@dataclass(frozen=True)
class Source:
    """A checkpoint on this machine.

    Attributes:
        kind: "safetensors", "lora" (a peft adapter, whose tensors apply on top of `base`) or "orbax".
        folder: Where it lies.
        files: The safetensors files that hold its tensors, which need not all exist; none for Orbax.
        index: The file that says which shard holds which tensor; None unless sharded.
        base: The checkpoint that an adapter belongs to; None for the other kinds.
    """

    kind: Literal["safetensors", "lora", "orbax"]
    folder: Path
    files: tuple[Path, ...] = ()
    index: Path | None = None
    base: "Source | None" = None


def resolve(
    name_or_folder: str | Path,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    base: str | Path | None = None,
) -> Source:
    """Finds a checkpoint: a local folder, or a hub name that is downloaded or taken from the cache.

    Args:
        name_or_folder: A folder with safetensors (one file or shards with an index), a peft LoRA adapter or an Orbax
            checkpoint of `save_orbax`; or the name of a hub repository, such as "amazon/chronos-2".
        revision: Branch, tag or commit of the hub repository.
        cache_dir: Where downloads are kept; the hub's own default if None.
        local_files_only: Use the cache alone. The environment variable HF_HUB_OFFLINE=1 does the same.
        base: For an adapter, the checkpoint it belongs to, where that is not what its configuration names.

    Raises:
        CheckpointError: nothing is found under that name, the hub cannot be reached, the folder holds no weights that
            can be read (pickle files never are), or an option does not apply.
    """
    folder = _local_folder(name_or_folder, revision, cache_dir, local_files_only)
    if (folder / ADAPTER_CONFIG).exists():
        adapter = read_json(folder / ADAPTER_CONFIG)
        named = base or adapter.get("base_model_name_or_path")
        if not named:
            raise CheckpointError(f"{folder / ADAPTER_CONFIG} does not name its base model; pass it as base")
        try:
            resolved = resolve(named, None if base else adapter.get("revision"), cache_dir, local_files_only)
        except CheckpointError as error:
            raise CheckpointError(
                f"cannot find the base of the adapter in {folder} (or pass it as base): {error}"
            ) from error
        if resolved.kind != "safetensors":
            raise CheckpointError(
                f"the base of the adapter in {folder} must be a safetensors checkpoint, "
                f"but {resolved.folder} is of kind {resolved.kind}"
            )
        return Source("lora", folder, (folder / ADAPTER_WEIGHTS,), base=resolved)
    if base is not None:
        raise CheckpointError(f"a base applies to LoRA adapters only, and {folder} has no {ADAPTER_CONFIG}")
    if orbax.is_orbax(folder):
        return Source("orbax", folder)
    files, index = safetensors_files.find(folder)
    return Source("safetensors", folder, files, index)


def load_config(source: Source) -> dict[str, Any]:
    """The raw `config.json` of a checkpoint; for an adapter, that of its base. Raises CheckpointError."""
    return read_json((source.base or source).folder / CONFIG)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file. Raises CheckpointError if it is absent or anything else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent} has no {path.name}, without which the weights cannot be read") from None
    except ValueError as error:  # malformed JSON or malformed UTF-8
        raise CheckpointError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a JSON {type(content).__name__}, expected an object")
    return content


def _local_folder(name: str | Path, revision: str | None, cache_dir: str | Path | None, local_files_only: bool) -> Path:
    folder = Path(name).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise CheckpointError(f"a revision applies to hub names only, and {folder} is a folder")
        return folder
    if folder.exists():
        raise CheckpointError(f"{folder} is a file; pass the folder that holds it together with its {CONFIG}")
    return _download(str(name), revision, cache_dir, local_files_only)


def _download(name: str, revision: str | None, cache_dir: str | Path | None, local_files_only: bool) -> Path:
    """The hub's snapshot of a repository, downloaded where it is not in the cache."""
    import huggingface_hub  # here, for local folders need neither it nor the time it takes
    from huggingface_hub import errors
    from huggingface_hub.utils import tqdm, validate_repo_id

    class Bar(tqdm):
        """The hub's progress bar, silent where nobody looks at it."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "disable": not sys.stderr.isatty()})

    what = f"{name!r}" if revision is None else f"{name!r} at revision {revision!r}"
    try:
        validate_repo_id(name)
        return Path(
            huggingface_hub.snapshot_download(
                name,
                revision=revision,
                cache_dir=cache_dir,
                local_files_only=local_files_only,
                allow_patterns=HUB_PATTERNS,
                tqdm_class=Bar,
            )
        )
    except errors.HFValidationError:
        raise CheckpointError(f"{name!r} is neither an existing folder nor a hub name (owner/name)") from None
    except errors.GatedRepoError as error:
        raise CheckpointError(
            f"access to {what} must be requested on the hub, then log in with `hf auth login`"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise CheckpointError(
            f"{name!r} is neither an existing folder nor a repository on the hub; "
            "check the spelling, or log in with `hf auth login` if it is private"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise CheckpointError(f"the hub has {name!r} but not its revision {revision!r}") from error
    except errors.LocalEntryNotFoundError as error:
        offline = local_files_only or huggingface_hub.is_offline_mode()
        why = "the hub may not be asked (offline mode)" if offline else "the hub cannot be reached"
        raise CheckpointError(
            f"{what} is no existing folder, is not completely in the local cache, and {why}: "
            "download it once with a connection, name the cache it is in, or pass a local folder"
        ) from error
    except (errors.HfHubHTTPError, OSError) as error:
        raise CheckpointError(f"cannot download {what}: {error}") from error
