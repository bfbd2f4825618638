"""How many rows a batch has, so that few sizes are ever compiled."""


def next_batch_size(number: int, most: int, shards: int = 1) -> int:
    """Rows of the next batch: `most` if `number` rows fill three quarters of it, else the largest of 1, 4, 16 … times
    `shards` that they fill by half.

    So few sizes that nearly every call finds its functions compiled, and yet little is computed in vain.
    """
    size = -(-most // shards) * shards
    if 4 * number >= 3 * size:
        return size
    smaller = shards
    while smaller * 4 < size and number > smaller * 2:
        smaller *= 4
    return smaller
