"""The configuration of a Chronos-2 checkpoint: what `config.json` says, validated."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from chronos_jax.checkpoints.errors import UnsupportedConfigError

PUBLISHED_QUANTILES = (0.01, *(round(0.05 * i, 2) for i in range(1, 20)), 0.99)

FORECASTING_SETTINGS = {
    "context_length",
    "input_patch_size",
    "input_patch_stride",
    "max_output_patches",
    "output_patch_size",
    "quantiles",
    "time_encoding_scale",
    "use_arcsinh",
    "use_reg_token",
}
"""All settings of a published `chronos_config`; the reference refuses any other."""


class Chronos2Config(BaseModel):
    """Sizes and settings of a Chronos-2 model; the defaults are those of amazon/chronos-2.

    The published file nests the forecasting settings under `chronos_config` and names the patch size three times; here
    they are flat. Hashable, so that it can be a static argument of a jitted function.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    d_model: int = Field(768, gt=0)
    d_kv: int = Field(64, gt=0)
    d_ff: int = Field(3072, gt=0)
    num_layers: int = Field(12, gt=0)
    num_heads: int = Field(12, gt=0)
    layer_norm_epsilon: float = Field(1e-6, gt=0)
    rope_theta: float = Field(10000.0, gt=0)
    dropout_rate: float = Field(0.1, ge=0, lt=1)
    initializer_factor: float = 0.05
    context_length: int = Field(8192, gt=0)
    patch_size: int = Field(16, gt=0)
    max_output_patches: int = Field(64, gt=0)
    quantiles: tuple[float, ...] = PUBLISHED_QUANTILES
    use_arcsinh: bool = True
    use_reg_token: bool = True
    time_encoding_scale: int = Field(8192, gt=0)

    @model_validator(mode="after")
    def _check(self) -> "Chronos2Config":
        if self.d_kv % 2:
            raise ValueError(f"d_kv must be even for rotary embeddings, found {self.d_kv}")
        if not self.quantiles or list(self.quantiles) != sorted(set(self.quantiles)):
            raise ValueError(f"quantiles must be distinct and increasing, found {self.quantiles}")
        if not (self.quantiles[0] > 0 and self.quantiles[-1] < 1):
            raise ValueError(f"quantiles must lie strictly between 0 and 1, found {self.quantiles}")
        return self

    @property
    def vocab_size(self) -> int:
        """Number of special embeddings: PAD, and REG where it is used."""
        return 2 if self.use_reg_token else 1

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> "Chronos2Config":
        """Reads the published form of the configuration.

        Raises:
            UnsupportedConfigError: naming every setting that is missing, malformed or unsupported.
        """
        if "chronos_config" not in raw:
            raise UnsupportedConfigError(
                "this is not the config.json of a Chronos checkpoint: it has no 'chronos_config' "
                f"(model_type {raw.get('model_type')!r}, architectures {raw.get('architectures')!r})"
            )
        architectures = raw.get("architectures") or ["Chronos2Model"]
        if architectures != ["Chronos2Model"]:
            raise UnsupportedConfigError(
                f"this is a checkpoint of {architectures!r}, not ['Chronos2Model']: only Chronos-2 is supported so far"
            )
        forecasting = raw["chronos_config"]
        if not isinstance(forecasting, Mapping):
            raise UnsupportedConfigError(f"chronos_config must be a JSON object, found {forecasting!r}")
        problems = _unsupported(raw, forecasting)
        renamed = {"input_patch_size": "patch_size"}
        fields = {name: raw[name] for name in cls.model_fields if name in raw}
        flattened = {renamed.get(str(key), str(key)): value for key, value in forecasting.items() if value is not None}
        fields |= {name: value for name, value in flattened.items() if name in cls.model_fields}
        required = ("d_model", "d_kv", "d_ff", "num_layers", "num_heads", "context_length", "patch_size", "quantiles")
        problems += [f"{name} is missing" for name in required if name not in fields]
        # A boolean or a single patch that is absent means what the reference's dataclass defaults to.
        absent = {"use_reg_token": False, "use_arcsinh": False, "max_output_patches": 1}
        fields = {**absent, "time_encoding_scale": fields.get("context_length"), **fields}
        if problems:
            raise UnsupportedConfigError("cannot use this Chronos-2 configuration: " + "; ".join(problems))
        try:
            return cls(**fields)
        except ValidationError as error:
            listed = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'config'}: {e['msg']}" for e in error.errors())
            raise UnsupportedConfigError(f"cannot use this Chronos-2 configuration: {listed}") from error

    def to_dict(self) -> dict[str, Any]:
        """The published form, which the reference reads."""
        return {
            "architectures": ["Chronos2Model"],
            "chronos_config": {
                "context_length": self.context_length,
                "input_patch_size": self.patch_size,
                "input_patch_stride": self.patch_size,
                "max_output_patches": self.max_output_patches,
                "output_patch_size": self.patch_size,
                "quantiles": list(self.quantiles),
                "time_encoding_scale": self.time_encoding_scale,
                "use_arcsinh": self.use_arcsinh,
                "use_reg_token": self.use_reg_token,
            },
            "chronos_pipeline_class": "Chronos2Pipeline",
            "d_ff": self.d_ff,
            "d_kv": self.d_kv,
            "d_model": self.d_model,
            "dense_act_fn": "relu",
            "dropout_rate": self.dropout_rate,
            "feed_forward_proj": "relu",
            "initializer_factor": self.initializer_factor,
            "is_gated_act": False,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "model_type": "t5",
            "num_heads": self.num_heads,
            "num_layers": self.num_layers,
            "pad_token_id": 0,
            "reg_token_id": 1,
            "rope_theta": self.rope_theta,
            "vocab_size": self.vocab_size,
        }


def _unsupported(raw: Mapping[str, Any], forecasting: Mapping[str, Any]) -> list[str]:
    """Settings of a published configuration that this implementation does not have."""
    problems = []
    activation = str(raw.get("feed_forward_proj", "relu"))
    if activation.startswith("gated") or raw.get("is_gated_act"):
        problems.append(f"gated activations are not supported (feed_forward_proj {activation!r})")
    elif activation != "relu" or raw.get("dense_act_fn", "relu") != "relu":
        problems.append(f"only the relu activation is supported (found {raw.get('dense_act_fn', activation)!r})")
    patch = forecasting.get("input_patch_size")
    if (stride := forecasting.get("input_patch_stride", patch)) != patch:
        problems.append(
            f"overlapping patches are not supported (input_patch_size {patch}, input_patch_stride {stride})"
        )
    if (output := forecasting.get("output_patch_size", patch)) != patch:
        problems.append(f"input and output patches must have one size (input {patch}, output {output})")
    scaling = raw.get("rope_scaling")
    if scaling:
        problems.append(f"rope_scaling is not supported (found {scaling!r})")
    problems += [f"unknown setting chronos_config.{key}" for key in sorted(set(forecasting) - FORECASTING_SETTINGS)]
    reg = bool(forecasting.get("use_reg_token", False))
    follows = {"vocab_size": 2 if reg else 1, "pad_token_id": 0} | ({"reg_token_id": 1} if reg else {})
    problems += [
        f"{key} must be {value} where use_reg_token is {reg}, found {raw[key]!r}"
        for key, value in follows.items()
        if raw.get(key, value) != value
    ]
    return problems
