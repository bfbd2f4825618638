"""Reading ahead: batches are made while the devices are busy with those before."""

import os
import threading
import time
from functools import partial
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
    options = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2)
    return ahead.mp_prefetch(options, worker_init_fn=partial(_end_with, os.getpid()))


def _end_with(parent: int, worker: int, workers: int) -> None:
    """Ends this worker when its parent is gone: one that was killed has not told it to."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
