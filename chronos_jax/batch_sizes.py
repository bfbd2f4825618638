"""How many rows a batch has, so that few sizes are ever compiled."""


def next_batch_size(number: int, most: int, shards: int = 1) -> int:
    """Rows of the next batch: `most`, or the largest of 1, 4, 16 … times `shards` that `number` rows fill by half.

    So few sizes that nearly every call finds its functions compiled, and yet little is computed in vain.
    """
    size = -(-most // shards) * shards
    while number <= size // 2 and size > shards:
        smaller = shards
        while smaller * 4 < size:
            smaller *= 4
        size = smaller
    return size
