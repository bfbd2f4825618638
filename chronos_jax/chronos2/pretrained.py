"""A pretrained Chronos-2 on its devices: loaded, saved, and what is known of it."""

from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from chronos_jax.checkpoints.fingerprint import fingerprint
from chronos_jax.checkpoints.loading import load_params
from chronos_jax.checkpoints.saving import save_safetensors
from chronos_jax.checkpoints.sources import load_config, resolve
from chronos_jax.chronos2.config import Chronos2Config
from chronos_jax.chronos2.modeling import Chronos2Model
from chronos_jax.chronos2.params import weight_table
from chronos_jax.chronos2.random_weights import parse_random_name, random_params
from chronos_jax.chronos2.runner import Runner, abstract_model, with_params
from chronos_jax.sharding import device_mesh

P = TypeVar("P", bound="Pretrained")


class Pretrained:
    """What `Chronos2Pipeline` is before it is given anything to do."""

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
        self.config = config
        self._runner = Runner(config, params, mesh)

    @classmethod
    def from_pretrained(
        cls: type[P],
        pretrained_model_name_or_path: str | Path,
        *,
        dtype: Any = "float32",
        torch_dtype: Any = None,
        device_map: Any = "auto",
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        base: str | Path | None = None,
        mesh: Mesh | None = None,
    ) -> P:
        """Loads a checkpoint.

        Args:
            pretrained_model_name_or_path: A hub name such as "amazon/chronos-2"; a folder with safetensors, an Orbax
                checkpoint or a LoRA adapter (merged); or `random:SIZE[@SEED]` for random weights, SIZE one of
                chronos-2, chronos-2-small, tiny.
            dtype: Of parameters and of the wide products, float32 or bfloat16, by name or as the type of NumPy, JAX or
                PyTorch; scaling, softmax and norms are float32 in any case.
            torch_dtype: The older name of `dtype`, which it replaces.
            device_map: The device where there is no mesh: "cpu", "cuda" or "gpu", "tpu", "cuda:1" …; by default JAX's.
            revision: Branch, tag or commit of the hub repository.
            cache_dir: Where hub downloads are kept, by default the hub's own cache.
            local_files_only: Never ask the hub.
            base: For an adapter, its base model, where the adapter's own configuration does not name a usable one.
            mesh: Devices over which batches are spread.

        Raises:
            CheckpointError: Nothing usable under this name, or files that do not fit together, listing everything.
            UnsupportedConfigError: A configuration that this model does not have.
            ValueError: No such type or device.
        """
        name = pretrained_model_name_or_path
        dtype = _dtype_name(dtype if torch_dtype is None else torch_dtype)
        if mesh is None:
            mesh = device_mesh(device_map)
        elif device_map not in ("auto", None):
            raise ValueError(f"device_map={device_map!r} and mesh both say where to compute; give one of them")
        if random := parse_random_name(str(name)):
            if revision is not None or base is not None:
                raise ValueError(f"{name!r} names random weights, to which neither revision nor base apply")
            config, seed = random
            params = random_params(config, seed)
            if dtype == "bfloat16":
                params = jax.tree.map(lambda x: x.astype(jnp.bfloat16), params)
        else:
            source = resolve(name, revision, cache_dir, local_files_only, base)
            config = Chronos2Config.from_dict(load_config(source))
            params = load_params(source, weight_table(config), dtype)
        return cls(config, params, mesh=mesh)

    def save_pretrained(self, save_directory: str | Path, *, overwrite: bool = False) -> None:
        """Writes config.json and model.safetensors, which the reference loads too.

        Raises:
            CheckpointError: The folder exists and holds anything, unless `overwrite`.
        """
        dtype = jax.tree.leaves(self.params)[0].dtype
        config = self.config.to_dict() | {"torch_dtype": str(dtype)}
        save_safetensors(Path(save_directory), self.params, weight_table(self.config), config, overwrite)

    @property
    def params(self) -> dict[str, Any]:
        """Nested dictionary of the parameters, on their devices."""
        return jax.tree.map(lambda x: x, self._runner.params)

    @property
    def model(self) -> Chronos2Model:
        """The model, for use without the pipeline."""
        return with_params(self._abstract_model, self.params)

    @cached_property
    def _abstract_model(self) -> Chronos2Model:
        return abstract_model(self.config, jax.tree.leaves(self.params)[0].dtype)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of configuration and parameters, hexadecimal: equal if and only if the model is."""
        return fingerprint(self.config.to_dict(), self.params)

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


def _dtype_name(dtype: Any) -> str:
    """Raises ValueError for a type in which the model does not run."""
    name = getattr(dtype, "__name__", None) or str(dtype).removeprefix("torch.")
    if name not in ("float32", "bfloat16"):
        raise ValueError(f"dtype must be 'float32' or 'bfloat16', found {dtype!r}")
    return name
