"""Folders sealed with the checksums of what is in their parts, so that damage is seen before it is trusted."""

import json
from pathlib import Path

from train.smarthome.files import sha256_of

SEAL = "checksums.json"
METADATA = "_CHECKPOINT_METADATA"  # Orbax writes it beside the parts, and once more after the seal


def seal(folder: Path) -> None:
    """Writes the sha256 of every file in the folder's subfolders into it."""
    files = sorted(path for path in folder.glob("*/**/*") if path.is_file())
    digests = {str(path.relative_to(folder)): sha256_of(path) for path in files}
    (folder / SEAL).write_text(json.dumps(digests, indent=1))


def damage(folder: Path) -> str | None:
    """What is wrong with a sealed folder, in a few words; None where every file sealed is as it was.

    Of Orbax's metadata, which are not sealed, only that they can be read.
    """
    name = SEAL
    try:
        digests = json.loads((folder / SEAL).read_text())
        if not digests:
            return f"{SEAL} is empty"
        for name, digest in digests.items():
            if not (folder / name).is_file():
                return f"{name} is missing"
            if sha256_of(folder / name) != digest:
                return f"{name} has changed"
        name = METADATA
        json.loads((folder / METADATA).read_text()).items()
    except (OSError, ValueError, AttributeError) as error:
        return f"{name} cannot be read: {error}"
    return None
