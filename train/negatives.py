"""A memory of past caption embeddings, and the hard negatives that each window draws from it."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from train.losses import Negatives

Strategy = Literal["random", "similarity", "mixed"]

EMPTY = -1  # text number of a place in the memory that nothing has been written to


class Memory(NamedTuple):
    """The last M caption embeddings, newest first. Part of the training state: checkpointed and resumed exactly."""

    text_MxD: Float[Array, "m d"]
    text_ids_M: Int[Array, " m"]  # which caption it is; EMPTY where there is none


def empty_memory(size: int, width: int) -> Memory:
    """A memory with room for `size` embeddings of `width` numbers."""
    return Memory(jnp.zeros((size, width)), jnp.full((size,), EMPTY, jnp.int32))


def remember(memory: Memory, text_BxD: Float[Array, "b d"], text_ids_B: Int[Array, " b"]) -> Memory:
    """Puts a batch in front; what no longer fits is forgotten, oldest first. No gradient flows into the memory."""
    size = len(memory.text_ids_M)
    # Cut first: of a batch that is larger than the memory, only what stays is sent to all devices.
    text_BxD, text_ids_B = jax.lax.stop_gradient(text_BxD[:size]), text_ids_B[:size]
    return Memory(
        jnp.concatenate([text_BxD, memory.text_MxD])[:size], jnp.concatenate([text_ids_B, memory.text_ids_M])[:size]
    )


def draw_negatives(
    memory: Memory,
    sensor_BxD: Float[Array, "b d"],
    own_texts_BxC: Int[Array, "b c"],
    key: Key[Array, ""],
    *,
    count: int,
    strategy: Strategy,
    temperature: float,
) -> Negatives:
    """Draws `count` texts of the memory for each window, without replacement and never a caption of that window.

    Args:
        memory: Where to draw from.
        sensor_BxD: Unit embeddings of the windows.
        own_texts_BxC: Numbers of all captions of each window, padded with EMPTY.
        key: Random key.
        count: How many to draw per window (K).
        strategy: "random": all alike. "similarity": with probability proportional to exp(cosine / temperature), so the
            harder the likelier. "mixed": half by similarity (rounded up), the rest at random.
        temperature: Of the draw by similarity; towards 0 the nearest texts are taken.

    Returns:
        Cosines that gradients flow through into `sensor_BxD`; places are invalid where the memory held too few.
    """
    cosine_BxM = sensor_BxD @ memory.text_MxD.T
    own_BxM = (own_texts_BxC[:, :, None] == memory.text_ids_M[None, None, :]).any(axis=1)
    allowed_BxM = ~own_BxM & (memory.text_ids_M != EMPTY)[None, :]
    similar = {"random": 0, "similarity": count, "mixed": (count + 1) // 2}[strategy]
    # The largest of (score + Gumbel noise) are a draw without replacement with weights exp(score) (Vieira 2014).
    by_similarity, by_chance = (jax.random.gumbel(one, cosine_BxM.shape) for one in jax.random.split(key))
    scores_BxM = jax.lax.stop_gradient(cosine_BxM) / temperature
    hard_BxK = _largest(scores_BxM + by_similarity, allowed_BxM, similar)
    rows_Bx1 = jnp.arange(len(sensor_BxD))[:, None]
    left_BxM = allowed_BxM.at[rows_Bx1, hard_BxK].set(False)
    chance_BxK = _largest(by_chance, left_BxM, count - similar)
    # A draw that finds too few returns some place that is not allowed, hence the look-up.
    valid = [jnp.take_along_axis(allowed_BxM, hard_BxK, axis=1), jnp.take_along_axis(left_BxM, chance_BxK, axis=1)]
    chosen_BxK = jnp.concatenate([hard_BxK, chance_BxK], axis=1)
    return Negatives(jnp.take_along_axis(cosine_BxM, chosen_BxK, axis=1), jnp.concatenate(valid, axis=1))


def _largest(scores_BxM: Float[Array, "b m"], allowed_BxM: Bool[Array, "b m"], count: int) -> Int[Array, "b k"]:
    return jax.lax.top_k(jnp.where(allowed_BxM, scores_BxM, -jnp.inf), count)[1]
