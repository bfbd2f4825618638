"""Compiled functions on disk, so that commands pay for a compilation once."""

import os
from pathlib import Path


def keep_what_is_compiled() -> None:
    """Keeps compiled functions in the user's cache folder, for the next run; JAX_COMPILATION_CACHE_DIR overrides it."""
    import jax

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(cache / "chronos_jax" / "compiled"))
