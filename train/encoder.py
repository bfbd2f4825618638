"""The frozen encoder: from windows to feature vectors, the same for training, evaluation and export."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float

from chronos_jax import Chronos2Pipeline
from chronos_jax.checkpoints.sources import load_config, resolve
from chronos_jax.chronos2.config import Chronos2Config
from chronos_jax.chronos2.params import weight_table
from chronos_jax.chronos2.random_weights import parse_random_name
from chronos_jax.sharding import make_mesh, named_sharding
from train.config import TrainConfig
from train.smarthome.statistics import statistics_features

# Raised when the numbers change that a given encoder makes of a given window, so that stored features are not mistaken.
FEATURES_VERSION = 1


@dataclass
class FrozenEncoder:
    """Turns windows, or texts, into features.

    Attributes:
        identity: What the features depend on besides the inputs: weights (as a hash) and options. JSON.
        encode: From at most `batch_size` inputs to their features (B, F).
        batch_size: Inputs per call of `encode`.
        passes: How often the encoder ran, in calls with at most `batch_size` inputs.
    """

    identity: dict[str, Any]
    encode: Callable[[Any], Float[np.ndarray, "b f"]]
    batch_size: int
    passes: int = field(default=0)

    def __call__(self, inputs: Float[np.ndarray, "b v t"] | list[str]) -> Float[np.ndarray, "b f"]:
        """Features of windows (B, variates, events), padding and missing values being NaN; or of B texts."""
        parts = []
        for start in range(0, len(inputs), self.batch_size):
            parts.append(self.encode(inputs[start : start + self.batch_size]))
            self.passes += 1
        return np.concatenate(parts).astype(np.float32, copy=False)


def load_encoder(config: TrainConfig, mesh: Mesh | None = None) -> FrozenEncoder:
    """The encoder that the configuration asks for, with its weights on devices of this process alone.

    So each process encodes on its own, and none waits for another.

    Args:
        config: Of the run.
        mesh: Of the run, over all processes: this process's part of it is used, see `local_mesh`. JAX's default device
            if None.

    Raises:
        FileNotFoundError, ValueError: As `Chronos2Pipeline.from_pretrained` does; the encoder's widths are no multiples
            of the devices that share them.
    """
    if config.encoder == "statistics":
        identity = {"encoder": "statistics", "version": FEATURES_VERSION}
        return FrozenEncoder(identity, statistics_features, config.encoder_batch_size)
    dtype: Literal["float32", "bfloat16"] = "bfloat16" if config.use_amp else "float32"
    name, local = config.chronos_model_name, None if mesh is None else local_mesh(mesh)
    if local is not None:
        _check_widths(name, local)
    pipeline = Chronos2Pipeline.from_pretrained(name, dtype=dtype, mesh=local)

    def encode(series_BxVxT: Float[np.ndarray, "b v t"]) -> Float[np.ndarray, "b f"]:
        embedded = pipeline.embed(
            series_BxVxT,
            batch_size=series_BxVxT.shape[0] * series_BxVxT.shape[1],  # counted in variates
            pooling=config.pooling,
            layer=config.layer,
            progress=False,
            pool_variates=config.variate_pooling == "mean",
        )
        features_BxF = np.stack(embedded).reshape(len(embedded), -1)
        if config.include_loc_scale:
            features_BxF = np.concatenate([features_BxF, loc_scale_features(series_BxVxT)], axis=1)
        return features_BxF

    options = ("pooling", "variate_pooling", "layer", "include_loc_scale")
    identity = {
        "encoder": "chronos2",
        "weights": pipeline.fingerprint,
        "dtype": dtype,
        "version": FEATURES_VERSION,
        **{option: getattr(config, option) for option in options},
    }
    return FrozenEncoder(identity, encode, config.encoder_batch_size)


def local_mesh(mesh: Mesh) -> Mesh:
    """The devices of this process as a mesh of their own, with the same axes.

    Weights are split over as many devices as in the whole mesh, or, where these belong to several processes, over the
    most that divide that number and the devices of this process. The rest is on "data".
    """
    devices = list(mesh.local_devices)
    tensor = math.gcd(mesh.shape["tensor"], len(devices))
    fsdp = math.gcd(mesh.shape["fsdp"], len(devices) // tensor)
    return make_mesh({"data": -1, "fsdp": fsdp, "tensor": tensor}, devices)


def loc_scale_features(series_BxVxT: Float[np.ndarray, "b v t"]) -> Float[np.ndarray, "b f"]:
    """Mean and standard deviation of each variate, as arcsinh: first the means, then the deviations (B, 2 V).

    Instance normalisation subtracts the one and divides by the other before the encoder sees a window, so that its
    output says how values move but not around which level. In a home the level is the room and the hour is the pace:
    without these numbers a night in the bedroom and a night in the office look alike. arcsinh keeps the sign, is the
    identity near zero and a logarithm beyond, so one outlying level does not swamp the rest. A variate without any
    value gives zeros.
    """
    known_BxVxT = np.isfinite(series_BxVxT)
    count_BxV = np.maximum(known_BxVxT.sum(axis=-1), 1)
    loc_BxV = np.where(known_BxVxT, series_BxVxT, 0).sum(axis=-1) / count_BxV
    deviation_BxVxT = np.where(known_BxVxT, series_BxVxT - loc_BxV[:, :, None], 0)
    scale_BxV = np.sqrt((deviation_BxVxT**2).sum(axis=-1) / count_BxV)
    return np.arcsinh(np.concatenate([loc_BxV, scale_BxV], axis=1)).astype(np.float32)


def _check_widths(name: str, mesh: Mesh) -> None:
    """Raises ValueError where a weight cannot be split over the mesh: before the weights are read."""
    random = parse_random_name(name)
    sizes = random[0] if random else Chronos2Config.from_dict(load_config(resolve(name)))
    for weight in weight_table(sizes):
        for width, axis in zip(weight.model_shape, named_sharding(mesh, weight.axes).spec, strict=True):
            if axis is not None and width % mesh.shape[axis]:
                raise ValueError(
                    f"the encoder {name} has {weight.names[0]} with a width of {width}, which the {mesh.shape[axis]} "
                    f'devices of a process that share it (mesh axis "{axis}") cannot split evenly: choose a size of '
                    "this axis that divides it"
                )
