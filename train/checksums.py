"""Folders sealed with the checksums of what is in their parts, so that damage is seen before it is trusted."""

import hashlib
import json
from pathlib import Path

SEAL = "checksums.json"


def seal(folder: Path) -> None:
    """Writes the sha256 of every file in the folder's subfolders into it; what lies beside these may still change."""
    files = sorted(path for path in folder.glob("*/**/*") if path.is_file())
    digests = {str(path.relative_to(folder)): _sha256(path) for path in files}
    (folder / SEAL).write_text(json.dumps(digests, indent=1))


def damage(folder: Path) -> str | None:
    """What is wrong with a sealed folder, in a few words; None where every file sealed is as it was."""
    try:
        digests = json.loads((folder / SEAL).read_text())
        for name, digest in digests.items():
            if not (folder / name).is_file():
                return f"{name} is missing"
            if _sha256(folder / name) != digest:
                return f"{name} has changed"
    except (OSError, ValueError, AttributeError) as error:
        return f"{SEAL} cannot be read: {error}"
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
