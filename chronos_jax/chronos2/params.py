"""The weight table of Chronos-2: every published tensor and its place in `Chronos2Model`."""

from chronos_jax.checkpoints.weights import Weight
from chronos_jax.chronos2.config import Chronos2Config


def weight_table(config: Chronos2Config) -> list[Weight]:
    """All tensors of a checkpoint of this configuration, 170 at the published size."""
    d_model, d_ff, inner = config.d_model, config.d_ff, config.num_heads * config.d_kv
    features = 3 * config.patch_size
    forecast = len(config.quantiles) * config.patch_size
    return [
        Weight("shared.weight", ("shared", "embedding"), (config.vocab_size, d_model), (None, "embed")),
        *_residual_block("input_patch_embedding", features, d_ff, d_model, axes=(None, "mlp", "embed")),
        *_attention(0, "time", d_model, inner, config.num_layers),
        *_attention(1, "group", d_model, inner, config.num_layers),
        *_feed_forward(2, d_model, d_ff, config.num_layers),
        Weight("encoder.final_layer_norm.weight", ("encoder", "final_norm", "scale"), (d_model,), ("embed",)),
        *_residual_block("output_patch_embedding", d_model, d_ff, forecast, axes=("embed", "mlp", None)),
    ]


def _residual_block(
    name: str, d_in: int, d_hidden: int, d_out: int, axes: tuple[str | None, str | None, str | None]
) -> list[Weight]:
    ends = {"hidden_layer": (0, 1), "output_layer": (1, 2), "residual_layer": (0, 2)}
    sizes = (d_in, d_hidden, d_out)
    weights = []
    for layer, (i, o) in ends.items():
        kernel, bias = (name, layer, "kernel"), (name, layer, "bias")
        weights.append(
            Weight(f"{name}.{layer}.weight", kernel, (sizes[o], sizes[i]), (axes[i], axes[o]), transpose=True)
        )
        weights.append(Weight(f"{name}.{layer}.bias", bias, (sizes[o],), (axes[o],)))
    return weights


def _attention(index: int, kind: str, d_model: int, inner: int, layers: int) -> list[Weight]:
    source = f"encoder.block.{{layer}}.layer.{index}"
    weights = [_norm(source, kind, d_model, layers)]
    for projection in "qkvo":
        shape, axes = (inner, d_model), ("layers", "embed", "heads")
        if projection == "o":
            shape, axes = (d_model, inner), ("layers", "heads", "embed")
        path = ("encoder", "blocks", f"{kind}_attention", projection, "kernel")
        weights.append(Weight(f"{source}.self_attention.{projection}.weight", path, shape, axes, True, layers))
    return weights


def _feed_forward(index: int, d_model: int, d_ff: int, layers: int) -> list[Weight]:
    source, target = f"encoder.block.{{layer}}.layer.{index}", ("encoder", "blocks", "mlp")
    shapes = {"wi": ((d_ff, d_model), ("layers", "embed", "mlp")), "wo": ((d_model, d_ff), ("layers", "mlp", "embed"))}
    return [
        _norm(source, "mlp", d_model, layers),
        *(
            Weight(f"{source}.mlp.{name}.weight", (*target, name, "kernel"), shape, axes, True, layers)
            for name, (shape, axes) in shapes.items()
        ),
    ]


def _norm(source: str, kind: str, d_model: int, layers: int) -> Weight:
    path = ("encoder", "blocks", f"{kind}_norm", "scale")
    return Weight(f"{source}.layer_norm.weight", path, (d_model,), ("layers", "embed"), layers=layers)
