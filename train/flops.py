"""How many floating-point operations the models need: products of matrices, each multiply and each add counted.

What a program computes again to save memory is not counted, so that utilisation by these numbers is comparable between
programs. Norms, activations, softmax and the optimiser are left out: on any size that matters they are below a percent.
"""

import math
from typing import Any

from chronos_jax.chronos2.config import Chronos2Config
from chronos_jax.chronos2.encoder import blocks_until
from chronos_jax.layers.patching import num_patches


def training_flops(params: dict[str, Any], batch_size: int, memory_size: int = 0) -> int:
    """FLOPs of one step of training over the whole batch, on all devices together.

    Args:
        params: Of `train.towers.AlignmentModel`, as nested dictionaries; shapes are enough.
        batch_size: Windows per step (B).
        memory_size: Texts that hard negatives are drawn from (M); 0 without them.

    Returns:
        Six per weight and row for forward and backward passes, but four for a layer that reads data, where nothing asks
        for the gradient of its input; 6 B² D for the logits and their gradients; 4 B M D for the hard negatives.
    """
    sensor, text = params["sensor"], params["text"]
    bag_of_words = "words" in text
    head = text["head"] if bag_of_words else text
    per_row = 4 * _weights(sensor["linear_in"]) + 6 * _weights(sensor["linear_out"])
    per_row += (6 if bag_of_words else 4) * _weights(head["linear_in"]) + 6 * _weights(head["linear_out"])
    width = sensor["linear_out"]["kernel"].shape[1]
    return batch_size * (per_row + 6 * batch_size * width + 4 * memory_size * width)


def encoder_flops(config: Chronos2Config, windows: int, variates: int, length: int, layer: int = -1) -> int:
    """FLOPs of one pass of the encoder, without the forecast.

    Args:
        config: Sizes of the encoder.
        windows: How many.
        variates: Of each window (V).
        length: Time steps of each variate; computed are whole patches.
        layer: Whose output is taken (see `chronos_jax.chronos2.encoder.Encoder`); blocks beyond are not computed.
    """
    width, inner, wide = config.d_model, config.num_heads * config.d_kv, config.d_ff
    patches = num_patches(length, config.patch_size) + 1  # and the future patch
    positions = patches + config.use_reg_token
    features = 3 * config.patch_size
    embedding = patches * (features * wide + wide * width + features * width)
    time = 4 * width * inner + 2 * positions * inner
    # A variate that is alone attends to itself with weight 1: no queries, keys and scores.
    group = 4 * width * inner + 2 * variates * inner if variates > 1 else 2 * width * inner
    block = positions * (time + group + 2 * width * wide)
    return 2 * windows * variates * (embedding + blocks_until(layer, config.num_layers) * block)


def _weights(linear: dict[str, Any]) -> int:
    return math.prod(linear["kernel"].shape)
