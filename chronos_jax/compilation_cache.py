"""Compiled functions on disk, so that a compilation is paid for once."""

import os
from pathlib import Path

JAX_DEFAULT_SECONDS = 1.0


def keep_what_is_compiled() -> None:
    """Keeps compiled functions in the user's cache folder, for the next process.

    Commands call this. A program of one's own may, before anything is computed; nothing else in this package touches
    JAX's configuration. A folder that JAX_COMPILATION_CACHE_DIR or `jax.config.jax_compilation_cache_dir` names already
    is used instead. What is too quick to be kept JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS says, or JAX's
    configuration where it is not as JAX comes: else nothing is, while JAX itself leaves out what takes less than a
    second, as a first forecast may.
    """
    import jax

    seconds = jax.config.jax_persistent_cache_min_compile_time_secs  # type: ignore[attr-defined]
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ and seconds == JAX_DEFAULT_SECONDS:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    chosen = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ and chosen is None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(cache / "chronos_jax" / "compiled"))
