"""The losses as functions of a few sums over the matrix of pairs, which can be taken tile by tile.

Each row (window) and each column (text) of the matrix has its sums. `add` puts a tile into them. `slopes` is the way
back: once the sums are complete and something has been made of them, how that changes with what a tile is made of.
Hence neither direction ever needs more of the matrix than a tile.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from train.losses.plain import focal


class Tile(NamedTuple):
    """Some windows (rows) with some texts (columns)."""

    cosine_RxS: Float[Array, "r s"]
    fits_RxS: Bool[Array, "r s"]
    scale: Float[Array, ""]
    bias: Float[Array, ""]


class Nearest(NamedTuple):
    """The largest cosines of each row, or of each column; −∞ where there is none."""

    fitting: Float[Array, " r"]
    other: Float[Array, " r"]


class Sums(NamedTuple):
    """What is known of each row, or of each column. Gradients flow through the terms alone."""

    nearest: Nearest
    terms: PyTree


class SoftmaxTerms(NamedTuple):
    """Σ exp(scale · (cosine − m)), m being the largest cosine so far; Σ of the fitting cosines, and their number."""

    exponentials: Float[Array, " r"]
    fitting: Float[Array, " r"]
    number: Float[Array, " r"]


class Slopes(NamedTuple):
    """Derivatives by each pair's cosine, and each pair's share of those by the scale and by the bias."""

    cosine_RxS: Float[Array, "r s"]
    scale_RxS: Float[Array, "r s"]
    bias_RxS: Float[Array, "r s"]


@runtime_checkable
class Pairs(Protocol):
    """One loss, pair by pair. Hashable: equal ones share what was compiled."""

    def start(self, size: int) -> tuple[Sums, Sums]:
        """The sums of no pair, for `size` rows and as many columns."""
        ...

    def add(self, tile: Tile, rows: Sums, columns: Sums) -> tuple[Sums, Sums]:
        """The sums with the pairs of a tile."""
        ...

    def slopes(self, tile: Tile, rows: Sums, by_rows: Any, columns: Sums, by_columns: Any) -> Slopes:
        """Derivatives of something made of the complete sums, given its derivatives by the terms of each."""
        ...


@dataclass(frozen=True)
class Softmax:
    """What InfoNCE is made of, the same for rows and columns.

    Cosines are subtracted before they are scaled: those near one another do so exactly, so that neither a large scale
    nor a fused multiplication and addition, which rounds one product and not the other, lets errors grow.
    """

    def start(self, size: int) -> tuple[Sums, Sums]:
        """See `Pairs`."""
        zeros = jnp.zeros(size)
        return (Sums(_none(size), SoftmaxTerms(zeros, zeros, zeros)),) * 2

    def add(self, tile: Tile, rows: Sums, columns: Sums) -> tuple[Sums, Sums]:
        """See `Pairs`."""
        return self._add(tile, rows, axis=1), self._add(tile, columns, axis=0)

    def slopes(self, tile: Tile, rows: Sums, by_rows: Any, columns: Sums, by_columns: Any) -> Slopes:
        """See `Pairs`."""
        by_cosine, by_scale = self._slopes(tile, rows, by_rows, axis=1)
        by_cosine_too, by_scale_too = self._slopes(tile, columns, by_columns, axis=0)
        return Slopes(by_cosine + by_cosine_too, by_scale + by_scale_too, jnp.zeros_like(by_scale))

    def _add(self, tile: Tile, sums: Sums, axis: int) -> Sums:
        nearest = _nearer(sums.nearest, tile, axis)
        before = jnp.exp(tile.scale * (largest(sums.nearest) - largest(nearest)))
        exponentials = jnp.exp(tile.scale * _below(tile, nearest, axis)).sum(axis)
        terms = SoftmaxTerms(
            sums.terms.exponentials * before + exponentials,
            sums.terms.fitting + jnp.where(tile.fits_RxS, tile.cosine_RxS, 0.0).sum(axis),
            sums.terms.number + tile.fits_RxS.sum(axis, dtype=jnp.float32),
        )
        return Sums(nearest, terms)

    def _slopes(self, tile: Tile, sums: Sums, by: SoftmaxTerms, axis: int) -> tuple[Array, Array]:
        below_RxS = _below(tile, sums.nearest, axis)
        by_logit_RxS = jnp.expand_dims(by.exponentials, axis) * jnp.exp(tile.scale * below_RxS)
        fitting_RxS = jnp.where(tile.fits_RxS, jnp.expand_dims(by.fitting, axis), 0.0)
        return tile.scale * by_logit_RxS + fitting_RxS, below_RxS * by_logit_RxS


@dataclass(frozen=True)
class Focal:
    """What the sigmoid losses are made of: each row's sum over its pairs; columns have none."""

    gamma: float

    def start(self, size: int) -> tuple[Sums, Sums]:
        """See `Pairs`."""
        return Sums(_none(size), jnp.zeros(size)), Sums(_none(size), ())

    def add(self, tile: Tile, rows: Sums, columns: Sums) -> tuple[Sums, Sums]:
        """See `Pairs`."""
        total = rows.terms + self._values(tile, self._logits(tile)).sum(axis=1)
        return Sums(_nearer(rows.nearest, tile, 1), total), Sums(_nearer(columns.nearest, tile, 0), ())

    def slopes(self, tile: Tile, rows: Sums, by_rows: Any, columns: Sums, by_columns: Any) -> Slopes:
        """See `Pairs`."""
        _, pull = jax.vjp(lambda logits_RxS: self._values(tile, logits_RxS), self._logits(tile))
        (by_logit_RxS,) = pull(jnp.broadcast_to(by_rows[:, None], tile.cosine_RxS.shape))
        return Slopes(tile.scale * by_logit_RxS, tile.cosine_RxS * by_logit_RxS, by_logit_RxS)

    def _logits(self, tile: Tile) -> Float[Array, "r s"]:
        return tile.scale * tile.cosine_RxS + tile.bias

    def _values(self, tile: Tile, logits_RxS: Float[Array, "r s"]) -> Float[Array, "r s"]:
        return focal(jnp.where(tile.fits_RxS, logits_RxS, -logits_RxS), self.gamma)


def largest(nearest: Nearest) -> Float[Array, " r"]:
    """The largest cosine of each row or column."""
    return jnp.maximum(nearest.fitting, nearest.other)


def _below(tile: Tile, nearest: Nearest, axis: int) -> Float[Array, "r s"]:
    return tile.cosine_RxS - jnp.expand_dims(largest(nearest), axis)


def _none(size: int) -> Nearest:
    return Nearest(jnp.full(size, -jnp.inf), jnp.full(size, -jnp.inf))


def _nearer(nearest: Nearest, tile: Tile, axis: int) -> Nearest:
    fitting = jnp.where(tile.fits_RxS, tile.cosine_RxS, -jnp.inf).max(axis)
    other = jnp.where(tile.fits_RxS, -jnp.inf, tile.cosine_RxS).max(axis)
    return Nearest(jnp.maximum(nearest.fitting, fitting), jnp.maximum(nearest.other, other))
