import jax.numpy as jnp
import numpy as np
import optax
import pytest

from train.optimizer import learning_rate_schedule, make_optimizer

PARAMS = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2), "log_scale": jnp.ones(())}


def test_the_learning_rate_rises_linearly_and_falls_along_a_cosine() -> None:
    schedule = learning_rate_schedule(0.8, warmup_ratio=0.1, total_steps=100)
    assert schedule(0) == pytest.approx(0.08)  # no step is lost
    assert schedule(10) == pytest.approx(0.8)
    assert schedule(55) == pytest.approx(0.4)  # half way down
    assert schedule(100) == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize(("ratio", "steps"), [(0.0, 10), (0.9, 1), (0.5, 2)])
def test_short_runs_have_a_schedule_too(ratio: float, steps: int) -> None:
    rates = [float(learning_rate_schedule(0.1, ratio, steps)(step)) for step in range(steps)]
    assert all(0 < rate <= 0.1 + 1e-7 for rate in rates)


def updates(gradients: dict, **options) -> dict:
    options = {"betas": (0.9, 0.98), "weight_decay": 0.0, "grad_clip_norm": 0.0} | options
    optimizer = make_optimizer(optax.constant_schedule(0.1), **options)
    return optimizer.update(gradients, optimizer.init(PARAMS), PARAMS)[0]


def test_only_matrices_decay() -> None:
    nothing = {name: jnp.zeros_like(value) for name, value in PARAMS.items()}
    decayed = updates(nothing, weight_decay=0.5)
    np.testing.assert_allclose(decayed["kernel"], -0.1 * 0.5)
    assert not decayed["bias"].any()
    assert decayed["log_scale"] == 0


def test_gradients_are_clipped_by_their_global_norm() -> None:
    """Adam forgets the size of a gradient at once, so compare the second step after a large and a small one."""
    optimizer = make_optimizer(optax.constant_schedule(0.1), betas=(0.9, 0.98), weight_decay=0.0, grad_clip_norm=1.0)
    huge = {name: 1e6 * jnp.ones_like(value) for name, value in PARAMS.items()}
    ones = {name: value / np.sqrt(7) for name, value in PARAMS.items()}  # seven numbers: global norm 1
    _, after_huge = optimizer.update(huge, optimizer.init(PARAMS), PARAMS)
    _, after_ones = optimizer.update(ones, optimizer.init(PARAMS), PARAMS)
    for a, b in zip(optax.tree.get(after_huge, "mu").values(), optax.tree.get(after_ones, "mu").values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
