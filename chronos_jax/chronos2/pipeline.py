"""`Chronos2Pipeline`: pretrained Chronos-2 for arrays of any form (reference: chronos.chronos2.pipeline)."""

import hashlib
import json
import warnings
from collections.abc import Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Float

from chronos_jax.checkpoints.loading import load_params
from chronos_jax.checkpoints.saving import common_dtype, save_safetensors
from chronos_jax.checkpoints.sources import load_config, resolve
from chronos_jax.checkpoints.weights import nest
from chronos_jax.chronos2.batching import Batch, as_series, batches, warn_if_all_missing
from chronos_jax.chronos2.config import Chronos2Config
from chronos_jax.chronos2.encoder import blocks_until
from chronos_jax.chronos2.modeling import Chronos2Model, Encoded
from chronos_jax.chronos2.params import weight_table
from chronos_jax.chronos2.pooling import Pooling, check_pooling, pool
from chronos_jax.chronos2.random_weights import parse_random_name, random_params
from chronos_jax.layers.patching import num_patches
from chronos_jax.sharding import batch_shards, named_sharding

DType = Literal["float32", "bfloat16"]

CPU_TOKENS_PER_BATCH = 1024
"""On a CPU, batches beyond this fall out of cache: 256 series of 512 steps took 3 times as long in one as in eight."""

BATCHES_IN_FLIGHT = 2
"""The device computes one batch while the host prepares and reads the others."""


class Chronos2Pipeline:
    """A Chronos-2 model and what turns user input into its batches. Arrays returned are NumPy, float32."""

    def __init__(self, config: Chronos2Config, params: dict[str, Any], *, mesh: Mesh | None = None) -> None:
        """Puts parameters on the devices.

        Args:
            config: The model's configuration.
            params: Nested dictionary of arrays in the model's layout, float32 or bfloat16 throughout.
            mesh: Devices over which batches are spread, and parameters along their logical axes (copied to each device
                where all are on "data"); JAX's default device if None.

        Raises:
            CheckpointError: Parameters are not those of the configuration, or not of one type, listing everything.
        """
        table = weight_table(config)
        dtype = common_dtype(params, table)
        self.config = config
        self.mesh = mesh
        model = nnx.eval_shape(lambda: Chronos2Model(config, dtype=dtype, rngs=nnx.Rngs(0)))
        self._graphdef, state = nnx.split(model)
        shardings = nest((weight, named_sharding(mesh, weight.axes)) for weight in table) if mesh else None
        nnx.replace_by_pure_dict(state, jax.device_put(params, shardings))
        self._state = state

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | Path,
        *,
        dtype: DType = "float32",
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        base: str | Path | None = None,
        mesh: Mesh | None = None,
    ) -> "Chronos2Pipeline":
        """Loads a checkpoint.

        Args:
            name_or_folder: A hub name such as "amazon/chronos-2"; a folder with safetensors, an Orbax checkpoint or a
                LoRA adapter (merged); or `random:SIZE[@SEED]` for random weights, SIZE one of chronos-2,
                chronos-2-small, tiny.
            dtype: Of parameters and of the wide products; scaling, softmax and norms are float32 in any case.
            revision: Branch, tag or commit of the hub repository.
            cache_dir: Where hub downloads are kept, by default the hub's own cache.
            local_files_only: Never ask the hub.
            base: For an adapter, its base model, where the adapter's own configuration does not name a usable one.
            mesh: Devices over which batches are spread.

        Raises:
            CheckpointError: Nothing usable under this name, or files that do not fit together, listing everything.
            UnsupportedConfigError: A configuration that this model does not have.
        """
        if dtype not in ("float32", "bfloat16"):
            raise ValueError(f"dtype must be 'float32' or 'bfloat16', found {dtype!r}")
        if random := parse_random_name(str(name_or_folder)):
            if revision is not None or base is not None:
                raise ValueError(f"{name_or_folder!r} names random weights, to which neither revision nor base apply")
            config, seed = random
            params = random_params(config, seed)
            if dtype == "bfloat16":
                params = jax.tree.map(lambda x: x.astype(jnp.bfloat16), params)
        else:
            source = resolve(name_or_folder, revision, cache_dir, local_files_only, base)
            config = Chronos2Config.from_dict(load_config(source))
            params = load_params(source, weight_table(config), dtype)
        return cls(config, params, mesh=mesh)

    def save_pretrained(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Writes config.json and model.safetensors, which the reference loads too.

        Raises:
            CheckpointError: The folder exists and holds anything, unless `overwrite`.
        """
        dtype = jax.tree.leaves(self.params)[0].dtype
        config = self.config.to_dict() | {"torch_dtype": str(dtype)}
        save_safetensors(Path(folder), self.params, weight_table(self.config), config, overwrite)

    @property
    def params(self) -> dict[str, Any]:
        """Nested dictionary of the parameters, on their devices."""
        return nnx.to_pure_dict(self._state)

    @property
    def model(self) -> Chronos2Model:
        """The model, for use without the pipeline."""
        return nnx.merge(self._graphdef, self._state)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of configuration and parameters, hexadecimal: equal if and only if the model is."""
        digest = hashlib.sha256(json.dumps(self.config.to_dict(), sort_keys=True).encode())
        for path, leaf in jax.tree_util.tree_leaves_with_path(self.params):
            array = np.asarray(leaf)
            digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).view(np.uint8).data)
        return digest.hexdigest()

    @property
    def model_context_length(self) -> int:
        """The longest history that the model sees, in time steps."""
        return self.config.context_length

    @property
    def model_output_patch_size(self) -> int:
        """Time steps a patch."""
        return self.config.patch_size

    @property
    def max_output_patches(self) -> int:
        """Patches that one pass of the model forecasts at the most."""
        return self.config.max_output_patches

    @property
    def model_prediction_length(self) -> int:
        """Time steps that one pass of the model forecasts at the most."""
        return self.config.max_output_patches * self.config.patch_size

    @property
    def quantiles(self) -> list[float]:
        """Quantile levels of the forecast, increasing."""
        return list(self.config.quantiles)

    def embed(
        self,
        inputs: Any,
        batch_size: int = 256,
        context_length: int | None = None,
        *,
        pooling: Pooling | None = None,
        layer: int = -1,
        pool_variates: bool = True,
    ) -> Any:
        """Encoder embeddings. An input's never depend on the others, on their order or on `batch_size`.

        Bit for bit, where batches have the same shape. Where shapes differ, products are summed in another order: the
        difference is 1e-6 of the largest value in float32, and the rounding of the type (about 5e-3) in bfloat16.

        Args:
            inputs: A 3-d array (inputs, variates, time), or a list of 1-d (time) and 2-d (variates, time) arrays of any
                lengths; NaN where missing. The variates of one input see each other.
            batch_size: The most series in a batch, counted in variates.
            context_length: Time steps of each history to use, the last ones; by default the model's, and at most that.
            pooling: None for all positions, or "mean", "max", "reg" or "last"; see `chronos_jax.chronos2.pooling`.
            layer: Whose output: -1 for the encoder's, normed; l for the l-th block's, 0 for what goes into the first.
            pool_variates: Whether pooling runs over variates, too.

        Returns:
            Without pooling, as the reference: a list of arrays (V, N + 2, d_model) for the N context patches that the
            input's own length fills, the REG token and one masked future patch; and a list of (loc, scale), each
            (V, 1). Positions of patches in which nothing is observed mean nothing, but are finite. With pooling, an
            array (inputs, d_model), or, with `pool_variates=False`, a list of arrays (V, d_model).

        Raises:
            ValueError, TypeError: Inputs that are empty, of wrong dimensions, infinite or not numbers; no such pooling
                or layer; a batch size or context length below 1.
        """
        check_pooling(pooling, self.config.use_reg_token)
        blocks_until(layer, self.config.num_layers)
        context_length = self._context_length(context_length)
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, found {batch_size}")
        series = [x[:, -context_length:] for x in as_series(inputs)]
        warn_if_all_missing(series)

        outputs: list[Any] = [None] * len(series)
        for batch, encoded in self._run(series, batch_size, partial(_encode, layer, pooling, pool_variates)):
            for row, index in enumerate(batch.indices):
                outputs[index] = jax.tree.map(lambda x, row=row: x[row], encoded)
        variates = [x.shape[0] for x in series]
        if pooling is None:
            positions = [num_patches(x.shape[1], self.config.patch_size) + self._appended_positions for x in series]
            kept = zip(outputs, variates, positions, strict=True)
            embeddings, scales = [], []
            for encoded, v, s in kept:
                embeddings.append(encoded.hidden_GxVxSxD[:v, -s:])
                scales.append((encoded.loc_GxVx1[:v], encoded.scale_GxVx1[:v]))
            return embeddings, scales
        if pool_variates:
            return np.stack(outputs)
        return [x[:v] for x, v in zip(outputs, variates, strict=True)]

    @property
    def _appended_positions(self) -> int:
        """Positions that `embed` adds to the context patches: REG, if there is one, and a masked future patch."""
        return int(self.config.use_reg_token) + 1

    def _context_length(self, requested: int | None) -> int:
        longest = self.model_context_length
        if requested is None:
            return longest
        if requested < 1:
            raise ValueError(f"context_length must be at least 1, found {requested}")
        if requested > longest:
            warnings.warn(f"context_length {requested} is beyond the model's {longest}; using {longest}", stacklevel=3)
        return min(requested, longest)

    def _run(self, series: list[np.ndarray], batch_size: int, function: Any) -> Iterator[tuple[Batch, Any]]:
        """Applies a jitted function to every batch; yields NumPy results, a few batches behind what is computed."""
        device = (self.mesh.devices.flat[0] if self.mesh else jax.local_devices()[0]).platform
        shards = batch_shards(self.mesh) if self.mesh else 1
        tokens = CPU_TOKENS_PER_BATCH * shards if device == "cpu" else None
        pending: list[tuple[Batch, Any]] = []
        for batch in batches(series, self.config.patch_size, batch_size, tokens, shards):
            arrays = (batch.context_GxVxT, batch.variate_mask_GxV)
            arrays = jax.device_put(arrays, named_sharding(self.mesh, ("batch",)) if self.mesh else None)
            pending.append((batch, function(self._graphdef, self._state, *arrays)))
            if len(pending) >= BATCHES_IN_FLIGHT:
                done, result = pending.pop(0)
                yield done, jax.device_get(result)
        for done, result in pending:
            yield done, jax.device_get(result)


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _encode(
    layer: int,
    pooling: Pooling | None,
    pool_variates: bool,
    graphdef: nnx.GraphDef,
    state: nnx.State,
    context_GxVxT: Float[Array, "g v t"],
    variate_mask_GxV: Array,
) -> Encoded | Float[Array, "g *v d"]:
    model = nnx.merge(graphdef, state)
    encoded = model.encode(context_GxVxT, variate_mask_GxV=variate_mask_GxV, layer=layer)
    if pooling is None:
        return encoded
    patches = context_GxVxT.shape[-1] // model.config.patch_size
    return pool(encoded.hidden_GxVxSxD, encoded.mask_GxVxS, patches, pooling, pool_variates)
