"""Token ids of many texts to batches of few fixed shapes."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Int32

from chronos_jax.batch_sizes import next_batch_size

SHORTEST = 16
"""The smallest bucket, in tokens: less saves no time."""


class TokenBatch(NamedTuple):
    """Texts of one bucket of length.

    Attributes:
        texts_N: The number of each text among all; rows beyond only fill up.
        tokens_BxS: Their token ids, padded on the right.
        lengths_B: Tokens of each, 1 for what fills up.
    """

    texts_N: Int[np.ndarray, " n"]
    tokens_BxS: Int32[np.ndarray, "b s"]
    lengths_B: Int32[np.ndarray, " b"]


def length_bucket(length: int, limit: int) -> int:
    """The smallest of 16, 32, 64 … and `limit` that is at least `length`."""
    return min(max(SHORTEST, 1 << (length - 1).bit_length()), limit)


def token_batches(
    texts: Sequence[Int32[np.ndarray, " _"]],
    *,
    limit: int,
    pad_id: int,
    batch_size: int,
    tokens_per_batch: int,
    shards: int = 1,
) -> Iterator[TokenBatch]:
    """Batches that together hold every text once, the shortest first.

    Args:
        texts: Token ids of each text, at most `limit`.
        limit: Where buckets end.
        pad_id: What stands behind the end of a text.
        batch_size: The most texts in a batch.
        tokens_per_batch: The most positions in a batch, where it holds more than one text a shard.
        shards: Batches are made a multiple of this with empty texts.
    """
    lengths_N = np.array([len(text) for text in texts], np.int32)
    buckets_N = np.array([length_bucket(max(int(length), 1), limit) for length in lengths_N])
    for bucket in np.unique(buckets_N).tolist():
        left_N = np.flatnonzero(buckets_N == bucket)
        most = max(min(batch_size, tokens_per_batch // bucket), 1)
        while len(left_N):
            size = next_batch_size(len(left_N), most, shards)
            chosen_N, left_N = left_N[:size], left_N[size:]
            tokens_BxS = np.full((size, bucket), pad_id, np.int32)
            lengths_B = np.ones(size, np.int32)
            for row, number in enumerate(chosen_N):
                tokens_BxS[row, : lengths_N[number]] = texts[number]
                lengths_B[row] = max(lengths_N[number], 1)
            yield TokenBatch(chosen_N, tokens_BxS, lengths_B)
