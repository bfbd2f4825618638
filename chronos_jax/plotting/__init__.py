"""Pictures of forecasts and of attention weights, as matplotlib figures."""

from chronos_jax.plotting.attention import plot_attention
from chronos_jax.plotting.forecast import plot

__all__ = ["plot", "plot_attention"]
