"""What is trained: a head on the frozen encoder, a text tower beside it, and the temperature between them."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, Key

from train.text import PADDING

MAX_LOGIT_SCALE = 100.0  # CLIP's bound (Radford et al. 2021, section 2.5): beyond it training becomes unstable


class ProjectionHead(nnx.Module):
    """Linear, LayerNorm, GELU, dropout, linear.

    Arguments: sizes of input, hidden layer and output; `dropout` is the share of hidden values dropped in training;
    `dtype` is the type in which the products are computed (parameters stay float32).
    """

    def __init__(
        self, in_dim: int, hidden_dim: int, out_dim: int, *, dropout: float, dtype: Any, rngs: nnx.Rngs
    ) -> None:
        self.linear_in = nnx.Linear(in_dim, hidden_dim, dtype=dtype, rngs=rngs, kernel_metadata=_axes(None, "mlp"))
        self.norm = nnx.LayerNorm(hidden_dim, rngs=rngs)
        self.dropout = nnx.Dropout(dropout)
        self.linear_out = nnx.Linear(hidden_dim, out_dim, dtype=dtype, rngs=rngs, kernel_metadata=_axes("mlp", "embed"))

    def __call__(self, x_BxF: Float[Array, "b f"], dropout_key: Key[Array, ""] | None) -> Float[Array, "b d"]:
        """Projects; without a key nothing is dropped."""
        hidden = nnx.gelu(self.norm(self.linear_in(x_BxF)))
        hidden = self.dropout(hidden, deterministic=dropout_key is None, rngs=dropout_key)
        return self.linear_out(hidden).astype(jnp.float32)


class BagOfWordsTower(nnx.Module):
    """Mean of the words' embeddings, then a projection head. Trained from nothing, it needs no hub."""

    def __init__(
        self, vocabulary_size: int, hidden_dim: int, out_dim: int, *, dropout: float, dtype: Any, rngs: nnx.Rngs
    ) -> None:
        self.words = nnx.Embed(vocabulary_size, hidden_dim, rngs=rngs, embedding_metadata=_axes(None, "mlp"))
        self.head = ProjectionHead(hidden_dim, hidden_dim, out_dim, dropout=dropout, dtype=dtype, rngs=rngs)

    def __call__(self, words_BxW: Int[Array, "b w"], dropout_key: Key[Array, ""] | None) -> Float[Array, "b d"]:
        """Embeds word numbers; padding does not count, and a text without words is the zero vector's projection."""
        present_BxW = words_BxW != PADDING
        total_BxH = jnp.where(present_BxW[:, :, None], self.words(words_BxW), 0.0).sum(axis=1)
        count_Bx1 = jnp.maximum(present_BxW.sum(axis=1, keepdims=True), 1)
        return self.head(total_BxH / count_Bx1, dropout_key)


class AlignmentModel(nnx.Module):
    """Sensor head, text tower, logit scale and bias.

    Arguments:
        sensor: Head over standardised features of the frozen encoder.
        text: `BagOfWordsTower`, or a `ProjectionHead` over embeddings computed elsewhere. A pretrained text encoder
            would be a further module with the same call.
        temperature: Initial temperature; the logit scale is its inverse, kept as a logarithm.
        bias: Initial bias of sigmoid losses.
    """

    def __init__(
        self, sensor: ProjectionHead, text: BagOfWordsTower | ProjectionHead, *, temperature: float, bias: float
    ) -> None:
        self.sensor = sensor
        self.text = text
        self.log_scale = nnx.Param(-jnp.log(jnp.asarray(temperature, jnp.float32)))
        self.bias = nnx.Param(jnp.asarray(bias, jnp.float32))

    def embed_sensor(
        self, features_BxF: Float[Array, "b f"], dropout_key: Key[Array, ""] | None = None
    ) -> Float[Array, "b d"]:
        """Unit embeddings of windows; dropout only with a key."""
        return unit(self.sensor(features_BxF, dropout_key))

    def embed_text(
        self, inputs_BxK: Int[Array, "b k"] | Float[Array, "b k"], dropout_key: Key[Array, ""] | None = None
    ) -> Float[Array, "b d"]:
        """Unit embeddings of texts given as rows of `train.text`; dropout only with a key."""
        return unit(self.text(inputs_BxK, dropout_key))

    def logit_scale(self) -> Float[Array, ""]:
        """Inverse temperature."""
        return jnp.exp(self.log_scale[...])


def logical_axes(variable: nnx.Variable) -> tuple[str | None, ...]:
    """Names of the axes of a parameter (see `chronos_jax.sharding`); those without names are copied everywhere."""
    return variable.get_metadata().get("logical_axes", ())


def unit(x_BxD: Float[Array, "b d"]) -> Float[Array, "b d"]:
    """Rows divided by their length; a row of zeros stays zero."""
    # The constant under the root keeps the gradient of an all-zero row finite.
    return x_BxD * jax.lax.rsqrt(jnp.sum(x_BxD * x_BxD, axis=-1, keepdims=True) + 1e-12)


def _axes(*names: str | None) -> dict[str, tuple[str | None, ...]]:
    # Not `out_sharding`: that would place every parameter at its creation and so demand a mesh to build a module.
    return {"logical_axes": names}
