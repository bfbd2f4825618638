import jax.numpy as jnp
import numpy as np
from flax import nnx
from text_models import BERTS

from chronos_jax.text.layers import layer_norm


def test_a_norm_keeps_its_digits_far_from_zero():
    """The mean of squares less the square of the mean would not."""
    x = 1000 + np.random.default_rng(0).standard_normal((4, 32)).astype(np.float32)
    config = BERTS["tiny BERT"]
    exact = x.astype(np.float64) - x.mean(-1, keepdims=True, dtype=np.float64)
    exact /= np.sqrt(np.square(exact).mean(-1, keepdims=True) + config.layer_norm_eps)
    found = layer_norm(config, dtype=jnp.float32, rngs=nnx.Rngs(0))(jnp.array(x))
    np.testing.assert_allclose(found, exact, atol=2e-4)
