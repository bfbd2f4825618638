"""Rows of weight tables that the text towers share."""

from collections.abc import Mapping

from chronos_jax.checkpoints.weights import Weight
from chronos_jax.text.config import TowerConfig


def embedding(name: str, path: str, rows: int, width: int) -> Weight:
    """A table of embeddings."""
    return Weight(f"{name}.weight", (path, "embedding"), (rows, width), (None, "embed"))


def norm(name: str, path: tuple[str, ...], width: int, layers: int | None = None) -> list[Weight]:
    """Gain and bias of a layer norm."""
    axes = ("embed",) if layers is None else ("layers", "embed")
    return [
        Weight(f"{name}.weight", (*path, "scale"), (width,), axes, layers=layers),
        Weight(f"{name}.bias", (*path, "bias"), (width,), axes, layers=layers),
    ]


def blocks(prefix: str, names: Mapping[str, str], config: TowerConfig) -> list[Weight]:
    """All weights of the stacked blocks of a tower.

    Args:
        prefix: What precedes the names of a block's tensors, with `{layer}` for its number.
        names: The published name of each part of a block, by its dotted path in the Flax model.
        config: Sizes.
    """
    sizes = {"embed": config.hidden_size, "heads": config.hidden_size, "mlp": config.intermediate_size}
    ends = {
        "attention.q": ("embed", "heads"),
        "attention.k": ("embed", "heads"),
        "attention.v": ("embed", "heads"),
        "attention.o": ("heads", "embed"),
        "mlp.hidden": ("embed", "mlp"),
        "mlp.output": ("mlp", "embed"),
    }
    layers = config.num_hidden_layers
    weights = []
    for part, name in names.items():
        source, path = f"{prefix}.{name}", ("blocks", *part.split("."))
        if part not in ends:
            weights += norm(source, path, config.hidden_size, layers)
            continue
        d_in, d_out = ends[part]
        kernel, bias = (*path, "kernel"), (*path, "bias")
        shape, axes = (sizes[d_out], sizes[d_in]), ("layers", d_in, d_out)
        weights.append(Weight(f"{source}.weight", kernel, shape, axes, transpose=True, layers=layers))
        weights.append(Weight(f"{source}.bias", bias, (sizes[d_out],), ("layers", d_out), layers=layers))
    return weights
