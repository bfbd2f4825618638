"""Amazon's Chronos time-series models on JAX."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chronos_jax.chronos2.config import Chronos2Config
    from chronos_jax.chronos2.modeling import Chronos2Model
    from chronos_jax.chronos2.pipeline import Chronos2Pipeline
    from chronos_jax.compilation_cache import keep_what_is_compiled
    from chronos_jax.plotting import plot, plot_attention
    from chronos_jax.text.encoder import TextEncoder

__all__ = [
    "Chronos2Config",
    "Chronos2Model",
    "Chronos2Pipeline",
    "TextEncoder",
    "keep_what_is_compiled",
    "plot",
    "plot_attention",
]

_HOMES = {
    "Chronos2Config": "chronos_jax.chronos2.config",
    "Chronos2Model": "chronos_jax.chronos2.modeling",
    "Chronos2Pipeline": "chronos_jax.chronos2.pipeline",
    "TextEncoder": "chronos_jax.text.encoder",
    "keep_what_is_compiled": "chronos_jax.compilation_cache",
    "plot": "chronos_jax.plotting",
    "plot_attention": "chronos_jax.plotting",
}


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    """Imports public names on first use, so that `import chronos_jax` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
