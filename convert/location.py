"""The options that say where a checkpoint is, shared by all commands."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from chronos_jax.checkpoints.sources import Source, resolve


@dataclass(frozen=True, kw_only=True)
class Location:
    """Where a checkpoint is."""

    source: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SRC")]
    """Hub name (amazon/chronos-2), or folder: safetensors (one file or shards), LoRA adapter, or Orbax."""
    revision: str | None = None
    """Branch, tag or commit of the hub repository."""
    cache_dir: Path | None = None
    """Where hub downloads are kept; the hub's own default if not given."""
    offline: bool = False
    """Never ask the hub, use its cache alone."""
    base: str | None = None
    """For a LoRA adapter: the model it belongs to, where its own configuration does not say so rightly."""

    def resolve(self) -> Source:
        """The checkpoint, downloaded if need be. Raises CheckpointError."""
        return resolve(self.source, self.revision, self.cache_dir, self.offline, self.base)
