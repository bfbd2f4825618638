"""LoRA adapters in peft's format, merged into the weights they adapt."""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, PositiveInt, ValidationError, field_validator

from chronos_jax.checkpoints.errors import CheckpointError
from chronos_jax.checkpoints.safetensors_files import SafetensorsFiles

Value = TypeVar("Value", int, float)

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
_TENSOR = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<side>[AB])\.weight")

# Settings that change what a merge means, and the values for which it is W + scaling · B · A.
_SUPPORTED: Mapping[str, tuple[Any, ...]] = {
    "peft_type": ("LORA",),
    "bias": ("none",),
    "fan_in_fan_out": (False, None),
    "use_dora": (False, None),
    "use_qalora": (False, None),
    "use_bdlora": (None,),
    "lora_bias": (False, None),
    "modules_to_save": (None, []),
    "target_parameters": (None, []),
    "trainable_token_indices": (None,),
    "layer_replication": (None,),
    "alora_invocation_tokens": (None,),
    "kasa_config": (None,),
    "monteclora_config": (None,),
    "velora_config": (None,),
    # The other initialisations change the base weights too, which an adapter's file does not hold.
    "init_lora_weights": (True, False, None, "gaussian", "eva", "orthogonal"),
}


class _Settings(BaseModel):
    """What scales the change of a module, and which modules there are."""

    r: PositiveInt
    lora_alpha: float
    use_rslora: bool = False
    rank_pattern: dict[str, PositiveInt] | None = None
    alpha_pattern: dict[str, float] | None = None
    target_modules: list[str] | str | None = None

    @field_validator("rank_pattern", "alpha_pattern")
    @classmethod
    def _are_regular_expressions(cls, patterns: dict[str, Any] | None) -> dict[str, Any] | None:
        for pattern in patterns or {}:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
        return patterns


class LoraAdapter:
    """An adapter folder: W + (alpha / r) · B · A for every adapted linear layer (Hu et al. 2021, section 4.1)."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        """Reads the headers of an adapter.

        Raises:
            CheckpointError: naming every setting that is not supported, or the setting that is missing.
        """
        weights = folder / ADAPTER_WEIGHTS
        if not weights.is_file():
            raise CheckpointError(f"{folder} holds no {ADAPTER_WEIGHTS}; other formats of adapters are never read")
        unsupported = [
            f"{key} = {config[key]!r} (supported: {', '.join(map(repr, values))})"
            for key, values in _SUPPORTED.items()
            if key in config and config[key] not in values
        ]
        try:
            self._settings = _Settings.model_validate(config)
        except ValidationError as error:
            unsupported += [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        if unsupported:
            raise CheckpointError.listing(f"cannot merge the adapter in {folder}, of its {ADAPTER_CONFIG}", unsupported)
        self._files = SafetensorsFiles([weights])
        self._pairs: dict[str, dict[str, str]] = {}
        self._unknown = []
        for name in self._files.tensors:
            if match := _TENSOR.fullmatch(name):
                self._pairs.setdefault(f"{match['module']}.weight", {})[match["side"]] = name
            else:
                self._unknown.append(name)

    def mismatches(self, base: SafetensorsFiles) -> Iterator[str]:
        """What keeps this adapter from being merged into these tensors, one sentence each."""
        yield from self._files.problems
        for name in self._unknown:
            yield f"unknown tensor {name} in the adapter"
        yield from self._files.unreadable()
        for target, pair in self._pairs.items():
            if len(pair) == 1:
                ((side, name),) = pair.items()
                yield f"{name} has no partner lora_{'B' if side == 'A' else 'A'}"
            elif target not in base.tensors:
                yield f"the adapter changes {target}, which the base does not have"
            else:
                yield from self._misshaped(target, base.tensors[target].shape)
        yield from self._untouched()

    def merge(self, name: str, weight: np.ndarray) -> np.ndarray:
        """The tensor with the adapter's change added, in float32; as it came where the adapter leaves it alone."""
        if name not in self._pairs:
            return weight
        a, b = (self._files.read(self._pairs[name][side]).astype(np.float32) for side in "AB")
        return weight.astype(np.float32) + (b @ a) * np.float32(self._scaling(name))

    def _misshaped(self, target: str, shape: tuple[int, ...]) -> Iterator[str]:
        rank = self._rank(target)
        if len(shape) != 2:
            yield f"the adapter changes {target}, which is no matrix but of shape {shape}"
            return
        for side, expected in (("A", (rank, shape[1])), ("B", (shape[0], rank))):
            name = self._pairs[target][side]
            if (found := self._files.tensors[name].shape) != expected:
                yield f"{name} has shape {found}, expected {expected} (rank {rank} for a weight of shape {shape})"

    def _untouched(self) -> Iterator[str]:
        """Modules that the configuration says are adapted, and for which the file holds nothing."""
        targets = self._settings.target_modules
        if isinstance(targets, list):  # a string is a regular expression over modules that need not exist
            modules = [name.removesuffix(".weight") for name in self._pairs]
            for target in targets:
                if not any(module == target or module.endswith(f".{target}") for module in modules):
                    yield f"{ADAPTER_CONFIG} names the target module {target}, but the adapter has no tensors for it"

    def _rank(self, name: str) -> int:
        return _of_module(name, self._settings.rank_pattern, self._settings.r)

    def _scaling(self, name: str) -> float:
        rank, alpha = self._rank(name), _of_module(name, self._settings.alpha_pattern, self._settings.lora_alpha)
        return alpha / math.sqrt(rank) if self._settings.use_rslora else alpha / rank


def _of_module(name: str, patterns: Mapping[str, Value] | None, default: Value) -> Value:
    """The value for a module: that of the first pattern that matches the end of its name, as peft has it."""
    module = name.removesuffix(".weight")
    return next((value for key, value in (patterns or {}).items() if re.match(rf"(.*\.)?({key})$", module)), default)
