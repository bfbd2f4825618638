"""How many operations a pass of Chronos-2 needs, however it is computed: what programs are measured against.

Counted are products, two operations for each multiply-add, of every position that stands for something: context patches
in which something is observed, REG, and the future patches asked for. Norms, softmax, activations and what fills up
shapes are not. With S positions of a series, V series that see each other, width d, inner width i (heads × d_kv),
feed-forward width f, patch length p and Q quantiles, a position costs

- in a layer: time attention 8 d i for q, k, v and o, and 4 i S for logits and values; group attention 8 d i + 4 i V,
  or, for a series alone, which attends to itself with weight 1, 4 d i for v and o; feed-forward 4 d f;
- in the last layer: only what is read afterwards. k and v of time attention (4 d i) at all positions, all else at
  positions that are returned: every one for embeddings, future patches for forecasts;
- where it is a patch: 2 (3 p f + f d + 3 p d) to be embedded, and, where it is forecast, 2 (d f + f p Q + d p Q).
"""

from chronos_jax.chronos2.config import Chronos2Config
from chronos_jax.layers.patching import num_patches


def embed_flops(config: Chronos2Config, groups: int, variates: int, steps: int) -> int:
    """Operations to embed groups of series that are observed throughout, with the one future patch of an embedding.

    Args:
        config: Sizes of the model.
        groups: Number of them; each costs the same.
        variates: Series of a group, which see each other.
        steps: Length of each series.
    """
    patches = num_patches(steps, config.patch_size) + 1
    positions = patches + config.use_reg_token
    return groups * variates * (_embedded(config, patches) + _encoded(config, variates, positions, positions))


def forecast_flops(config: Chronos2Config, groups: int, variates: int, steps: int, horizon: int) -> int:
    """Operations to forecast every series of such groups, within one pass of the model.

    Args:
        config: Sizes of the model.
        groups: Number of them.
        variates: Series of a group, which see each other.
        steps: Length of each history.
        horizon: Steps ahead, rounded up to patches.

    Raises:
        ValueError: The horizon needs more than one pass.
    """
    future = num_patches(horizon, config.patch_size)
    if future > config.max_output_patches:
        raise ValueError(
            f"a horizon of {horizon} steps takes several passes of at most {config.max_output_patches} patches, whose "
            "operations depend on the samples that are fed back: count one pass"
        )
    patches = num_patches(steps, config.patch_size) + future
    each = _embedded(config, patches) + _encoded(config, variates, patches + config.use_reg_token, future)
    width, wide, out = config.d_model, config.d_ff, config.patch_size * len(config.quantiles)
    return groups * variates * (each + 2 * future * (width * wide + wide * out + width * out))


def _embedded(config: Chronos2Config, patches: int) -> int:
    width, wide, features = config.d_model, config.d_ff, 3 * config.patch_size
    return 2 * patches * (features * wide + wide * width + features * width)


def _encoded(config: Chronos2Config, variates: int, positions: int, read: int) -> int:
    """All layers for one series with so many positions, of which so many are read behind the last."""
    width, inner = config.d_model, config.num_heads * config.d_kv
    keys_values = 4 * width * inner
    group = 8 * width * inner + 4 * inner * variates if variates > 1 else 4 * width * inner
    rest = 4 * width * inner + 4 * inner * positions + group + 4 * width * config.d_ff
    before_last = (config.num_layers - 1) * positions * (keys_values + rest)
    return before_last + positions * keys_values + read * rest
