"""Contrastive losses of the global batch: what they are, and the forms in which they are computed.

"plain" holds the whole matrix of logits, "ring" the logits of one device's windows with another's texts, "tiles" a tile
of these. All give the same values and gradients (see docs/losses.md for what each costs).
"""

from functools import partial
from typing import get_args

from jax.sharding import Mesh

from train.losses import plain, streamed
from train.losses.choice import choose_implementation
from train.losses.interface import Contrast, Implementation, Kind, Loss, Matches, Negatives
from train.losses.ring import Ring

__all__ = ["Contrast", "Implementation", "Kind", "Loss", "Matches", "Negatives", "choose_implementation", "make_loss"]


def make_loss(kind: Kind, implementation: Implementation, mesh: Mesh, *, gamma: float = 2.0, tile: int = 1024) -> Loss:
    """A loss as a function of a batch, whose size must be a multiple of `batch_shards(mesh)`.

    Args:
        kind: "infonce", "sigmoid" or "focal_sigmoid".
        implementation: "plain", "ring" or "tiles"; see `choose_implementation`.
        mesh: The devices that the batch is split over.
        gamma: Of "focal_sigmoid": how much less a pair counts the surer it is.
        tile: Of "tiles": most windows and texts whose logits are held at a time.

    Raises:
        ValueError: `kind` or `implementation` is none of these, or `tile` is not positive.
    """
    for name, value, known in [("loss", kind, Kind), ("implementation", implementation, Implementation)]:
        if value not in get_args(known):
            raise ValueError(f"unknown {name} {value!r}: it must be one of {list(get_args(known))}")
    if tile < 1:
        raise ValueError(f"tile is {tile}: it must be at least 1")
    gamma = gamma if kind == "focal_sigmoid" else 0.0
    if implementation == "plain":
        return plain.info_nce if kind == "infonce" else partial(plain.focal_sigmoid, gamma=gamma)
    ring = Ring(mesh, tile if implementation == "tiles" else None)
    if kind == "infonce":
        return partial(streamed.info_nce, ring=ring)
    return partial(streamed.focal_sigmoid, gamma=gamma, ring=ring)
