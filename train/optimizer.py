"""AdamW with warm-up and cosine decay, clipped by the global norm."""

import jax
import optax
from jaxtyping import PyTree


def learning_rate_schedule(peak: float, warmup_ratio: float, total_steps: int) -> optax.Schedule:
    """Rises linearly to `peak` over the first `warmup_ratio` of the steps, then falls to 0 along a cosine.

    Of n warm-up steps the first takes peak / n: a step of zero would be a step lost.
    """
    warmup_steps = min(round(warmup_ratio * total_steps), total_steps - 1)
    return optax.warmup_cosine_decay_schedule(
        init_value=peak / max(warmup_steps, 1),
        peak_value=peak,
        warmup_steps=warmup_steps,
        decay_steps=total_steps,
    )


def make_optimizer(
    schedule: optax.Schedule, *, betas: tuple[float, float], weight_decay: float, grad_clip_norm: float
) -> optax.GradientTransformation:
    """AdamW (Loshchilov and Hutter 2019) on gradients clipped to a global norm; only matrices decay.

    Biases, the scales of norms, the temperature and the bias of sigmoid losses have fewer than two axes: pulling them
    towards zero would pull the model towards something, not towards simplicity.

    Args:
        schedule: Learning rate by step.
        betas: Decay of the running means of the gradient and of its square.
        weight_decay: Per unit of learning rate.
        grad_clip_norm: Largest global norm of a gradient; 0 means no clipping.
    """
    adamw = optax.adamw(schedule, b1=betas[0], b2=betas[1], weight_decay=weight_decay, mask=matrices)
    return optax.chain(optax.clip_by_global_norm(grad_clip_norm), adamw) if grad_clip_norm else adamw


def matrices(params: PyTree) -> PyTree:
    """True for every leaf with at least two axes."""
    return jax.tree.map(lambda leaf: leaf.ndim >= 2, params)
