"""How the positions of a batch lie in memory while the blocks run: densely, or in small blocks for a TPU.

A block of the encoder says what is computed; an arrangement says which positions see each other and where they lie. All
compute the same.
"""

from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, DTypeLike, Float, Int

from chronos_jax.chronos2.config import Chronos2Config
from chronos_jax.layers.attention import EVERYWHERE, MultiHeadAttention
from chronos_jax.layers.rotary import Rotary
from chronos_jax.layers.tpu_attention import LANES, TpuAttention

LARGEST_SHARED_BLOCK = 256
"""Positions beyond which a group's series are spread over blocks: most of the logits of a larger one are masked."""


@runtime_checkable
class Arrangement(Protocol):
    """What a block of the encoder needs to know of its positions. The stream's last axis is the width of the model."""

    def reading(self, positions: slice) -> "Arrangement":
        """The same for a block of whose output only these positions of each series are read."""

    def read(self, x: Float[Array, "... d"]) -> Float[Array, "... d"]:
        """Of the stream, what is read."""

    def time(
        self, norm: nnx.RMSNorm, attention: MultiHeadAttention, x: Float[Array, "... d"]
    ) -> tuple[Array, Array | None]:
        """Of the stream what is read, plus what it takes from all positions of its series after the norm.

        Also the attention weights where they are at hand.
        """

    def group(
        self, norm: nnx.RMSNorm, attention: MultiHeadAttention, x: Float[Array, "... d"]
    ) -> tuple[Array, Array | None]:
        """Likewise between the series of a group, at each position that is read: `x` holds these alone."""


@dataclass(frozen=True)
class Dense:
    """The stream as (G, V, S, D).

    Attributes:
        mask_GxVxS: Positions that count as keys.
        rotary: Angles of the S positions.
        positions: Those that are read.
    """

    mask_GxVxS: Bool[Array, "g v s"]
    rotary: Rotary
    positions: slice = field(default_factory=lambda: EVERYWHERE)  # no plain default: slices had no hash until 3.12

    def reading(self, positions: slice) -> "Dense":
        return replace(self, positions=positions)

    def read(self, x: Float[Array, "g v s d"]) -> Float[Array, "g v r d"]:
        return x[:, :, self.positions]

    def time(
        self, norm: nnx.RMSNorm, attention: MultiHeadAttention, x: Float[Array, "g v s d"]
    ) -> tuple[Array, Array | None]:
        y, weights = attention.with_weights(norm(x), self.mask_GxVxS, self.rotary, self.positions)
        return self.read(x) + y, weights

    def group(
        self, norm: nnx.RMSNorm, attention: MultiHeadAttention, x: Float[Array, "g v r d"]
    ) -> tuple[Array, Array | None]:
        mask_GxVxR = self.mask_GxVxS[:, :, self.positions]
        if x.shape[1] == 1:
            return x + attention.alone(norm(x), mask_GxVxR), attention.weights_alone(mask_GxVxR[:, 0])
        y_GxRxVxD, weights = attention.with_weights(norm(x).swapaxes(1, 2), mask_GxVxR.swapaxes(1, 2))
        return x + y_GxRxVxD.swapaxes(1, 2), weights


@dataclass(frozen=True)
class Blocks:
    """The stream as (N, T, D): blocks of whole series, about 128 positions each where series are short.

    A block holds whole groups where these are small; then both attentions run on it as it lies. Else it is of some of a
    group's series, and for the attention between series positions are gathered into blocks of their own.

    Attributes:
        kernel: Attends within a block.
        mask_GxVxS: Positions that count as keys.
        rotary: Angles of the S positions.
        series: Series in a block.
        positions: Those that are read.
    """

    kernel: TpuAttention
    mask_GxVxS: Bool[Array, "g v s"]
    rotary: Rotary
    series: int
    positions: slice = field(default_factory=lambda: EVERYWHERE)  # no plain default: slices had no hash until 3.12

    @classmethod
    def of(
        cls,
        kernel: TpuAttention,
        config: Chronos2Config,
        dtype: DTypeLike,
        mask_GxVxS: Bool[Array, "g v s"],
        rotary: Rotary,
    ) -> "Blocks | None":
        """As many series in a block as fit; None where the kernel cannot take these groups or such a model."""
        groups, variates, length = mask_GxVxS.shape
        whole_group = variates * length <= LARGEST_SHARED_BLOCK
        if whole_group:
            series = _largest_divisor(groups // kernel.shards, LANES // (variates * length)) * variates
        else:
            series = _largest_divisor(variates, LANES // length)
        fits = kernel.fits(
            groups,
            max(series * length, 1 if whole_group else variates, LANES),
            d_model=config.d_model,
            num_heads=config.num_heads,
            d_head=config.d_kv,
            dtype=dtype,
        )
        return cls(kernel, mask_GxVxS, rotary, series) if fits else None

    def pack(self, x_GxVxSxD: Float[Array, "g v s d"]) -> Float[Array, "n t d"]:
        """The stream as it lies in blocks."""
        *_, length, width = x_GxVxSxD.shape
        return x_GxVxSxD.reshape(-1, self.series * length, width)

    def unpack(self, x_NxTxD: Float[Array, "n t d"]) -> Float[Array, "g v s d"]:
        """The inverse of `pack`, also of the positions that are read."""
        groups, variates, _ = self.mask_GxVxS.shape
        return x_NxTxD.reshape(groups, variates, -1, x_NxTxD.shape[-1])

    def reading(self, positions: slice) -> "Blocks":
        return replace(self, positions=positions)

    def read(self, x: Float[Array, "n t d"]) -> Float[Array, "n r d"]:
        return x if self.positions == EVERYWHERE else self.pack(self.unpack(x)[:, :, self.positions])

    def time(
        self, norm: nnx.RMSNorm, attention: MultiHeadAttention, x: Float[Array, "n t d"]
    ) -> tuple[Array, Array | None]:
        places_S = np.arange(self.mask_GxVxS.shape[-1])
        keys, queries = self._names(places_S), self._names(places_S[self.positions])

        def angles(places: np.ndarray) -> Rotary:
            return Rotary(*(jnp.tile(x[places], (self.series, 1)) for x in self.rotary))

        x = self.kernel(
            norm,
            attention,
            x,
            self.mask_GxVxS.reshape(x.shape[:2]),
            visible_QxT=queries.series[:, None] == keys.series[None, :],
            rotary=(angles(places_S[self.positions]), angles(places_S)),
            asking_NxQxD=None if self.positions == EVERYWHERE else self.read(x),
        )
        return x, None

    def group(
        self, norm: nnx.RMSNorm, attention: MultiHeadAttention, x: Float[Array, "n r d"]
    ) -> tuple[Array, Array | None]:
        groups, variates, _ = self.mask_GxVxS.shape
        mask_GxVxR = self.mask_GxVxS[:, :, self.positions]
        keys_NxR = mask_GxVxR.reshape(x.shape[:2])
        if self.series % variates == 0:
            names = self._names(np.arange(mask_GxVxR.shape[-1]))
            same_group = names.series[:, None] // variates == names.series[None, :] // variates
            visible = same_group & (names.place[:, None] == names.place[None, :])
            return self.kernel(norm, attention, x, keys_NxR, visible_QxT=visible), None
        places = _largest_divisor(mask_GxVxR.shape[-1], LANES // variates)
        place = np.repeat(np.arange(places), variates)

        def gathered(x_GxVxRxD: Array) -> Array:
            return x_GxVxRxD.swapaxes(1, 2).reshape(-1, places * variates, x_GxVxRxD.shape[-1])

        keys_NxT = gathered(mask_GxVxR[..., None])[..., 0]
        visible = place[:, None] == place[None, :]
        x = self.kernel(norm, attention, gathered(self.unpack(x)), keys_NxT, visible_QxT=visible)
        return self.pack(x.reshape(groups, -1, variates, x.shape[-1]).swapaxes(1, 2)), None

    def _names(self, places: Int[np.ndarray, " r"]) -> "_Names":
        return _Names(np.repeat(np.arange(self.series), len(places)), np.tile(places, self.series))


class _Names(NamedTuple):
    """Of each position of a block, its series and its place in it."""

    series: Int[np.ndarray, " t"]
    place: Int[np.ndarray, " t"]


def _largest_divisor(number: int, most: int) -> int:
    """Of a number, the largest divisor that is no larger than `most`; at least 1."""
    return max(divisor for divisor in range(1, max(min(number, most), 1) + 1) if number % divisor == 0)
