"""Reading ahead: batches are made while the devices are busy with those before."""

from typing import TypeVar

import grain
from absl import flags

Element = TypeVar("Element")


def prefetched(batches: "grain.MapDataset[Element]", workers: int) -> "grain.IterDataset[Element]":
    """The batches in order, few of them ahead of where they are used: Grain's default of 500 would hold gigabytes.

    Args:
        batches: Each is made when it is asked for.
        workers: Processes that make them; 0 for threads of this one.
    """
    ahead = batches.to_iter_dataset(grain.ReadOptions(num_threads=2, prefetch_buffer_size=4))
    if not workers:
        return ahead
    # Grain's worker processes read settings from absl's flags, which only absl programs parse.
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    return ahead.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2))
