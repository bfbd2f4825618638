"""Which form of a loss suits a batch and a mesh, by an estimate of what each holds."""

from jax.sharding import Mesh

from chronos_jax.sharding import batch_shards
from train.losses.interface import Implementation, Kind

SHARE = 1 / 8  # of a chip's memory that a loss may fill; the rest is the model's, its gradients' and its optimiser's


def choose_implementation(kind: Kind, batch_size: int, width: int, mesh: Mesh, memory_bytes: int) -> Implementation:
    """The first of "plain", "ring" and "tiles" whose temporaries fill no more than `SHARE` of a chip, else "tiles".

    That is the order of how much they compute and how often they communicate.

    Args:
        kind: The loss.
        batch_size: Windows of the global batch.
        width: Numbers in an embedding.
        mesh: The devices that the batch is split over.
        memory_bytes: Memory of one chip.
    """
    for implementation in ("plain", "ring"):
        if estimate_temporaries(kind, implementation, batch_size, width, mesh) <= SHARE * memory_bytes:
            return implementation
    return "tiles"


def estimate_temporaries(
    kind: Kind, implementation: Implementation, batch_size: int, width: int, mesh: Mesh, tile: int = 1024
) -> int:
    """Bytes per chip of what a loss and its gradient hold beside embeddings and gradients, in float32.

    Matrices of logits that are alive at a time, as the TPU compiler has it (docs/losses.md), and the texts that come
    from other devices.
    """
    local = -(-batch_size // batch_shards(mesh))
    side = min(tile, local)
    rows, columns = {"plain": (local, batch_size), "ring": (local, local), "tiles": (side, side)}[implementation]
    matrices = 3 if kind == "infonce" else 2
    return 4 * (matrices * rows * columns + (batch_size if implementation == "plain" else local) * width)
