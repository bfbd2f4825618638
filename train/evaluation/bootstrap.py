"""Bootstrap intervals: how much a measure would change with other days, or other windows, of the same home."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

RESAMPLES = 1000
LEVEL = 0.95
FEWEST_DAYS = 5  # with fewer there is next to nothing to draw from
SEED = 0
ENTRIES_AT_ONCE = 2**23  # of the matrix that says how often each unit is in each resample


@dataclass(frozen=True)
class Resampling:
    """What is drawn with replacement, as often as there are units.

    Windows overlap, and those of one day resemble each other: drawn one by one, they would look like more evidence than
    they are. So whole days are drawn, where it is known when windows start and there are at least `FEWEST_DAYS` days,
    and else windows. Only what is measured is drawn: candidates of a retrieval, training windows and the clustering
    itself stay as they are.

    Attributes:
        kind: "days" or "windows".
        unit_N: Number of the unit, from 0, that each window belongs to.
    """

    kind: str
    unit_N: Int[np.ndarray, " n"]

    @classmethod
    def of(cls, starts: Sequence[str]) -> "Resampling":
        """Days or windows, by the starts of the windows (ISO 8601, "" where unknown)."""
        days = np.array([start[:10] for start in starts])
        distinct, unit_N = np.unique(days, return_inverse=True)
        if "" not in distinct and len(distinct) >= FEWEST_DAYS:
            return cls("days", unit_N)
        return cls("windows", np.arange(len(days)))

    def described(self) -> dict[str, str | int]:
        """What evaluation.json says of it: the kind of unit and how many there are."""
        return {"units": self.kind, "count": len(np.unique(self.unit_N))}

    def of_windows(self, windows_Q: Int[np.ndarray, " q"]) -> "Resampling":
        """Of what belongs to windows, such as captions: by the days of these, or each on its own."""
        return Resampling(self.kind, self.unit_N[windows_Q] if self.kind == "days" else np.arange(len(windows_Q)))

    def sums(self, part_NxS: csr_array) -> Float[np.ndarray, "r s"]:
        """Sums over the windows of each resample, from what each window adds to them."""
        units, unit_N = np.unique(self.unit_N, return_inverse=True)
        windows = len(unit_N)
        member_UxN = csr_array((np.ones(windows), (unit_N, np.arange(windows))), shape=(len(units), windows))
        unit_UxS = csr_array(member_UxN @ part_NxS)
        return np.concatenate([times_BxU @ unit_UxS for times_BxU in _draws(len(units))])


def _draws(units: int) -> Iterator[Float[np.ndarray, "b u"]]:
    """How often each unit is in each resample; always the same for so many units."""
    rng = np.random.default_rng(SEED)
    at_once = max(1, ENTRIES_AT_ONCE // units)
    for first in range(0, RESAMPLES, at_once):
        resamples = min(at_once, RESAMPLES - first)
        drawn_BxU = rng.integers(units, size=(resamples, units)) + units * np.arange(resamples)[:, None]
        yield np.bincount(drawn_BxU.ravel(), minlength=resamples * units).reshape(resamples, units).astype(np.float64)


def interval(values_R: Float[np.ndarray, " r"]) -> list[float]:
    """The percentile interval of a measure over resamples; those that do not have it (NaN) are left out."""
    outside = 50 * (1 - LEVEL)
    return np.nanpercentile(values_R, [outside, 100 - outside]).tolist()


def means_with_intervals(
    values: Mapping[str, Float[np.ndarray, " n"]], resampling: Resampling
) -> dict[str, dict[str, float | list[float]]]:
    """The mean over windows of each of these, as "value", and its "interval"."""
    windows = len(resampling.unit_N)
    sums_RxS = resampling.sums(csr_array(np.stack([*values.values(), np.ones(windows)], axis=1)))
    return {
        name: {"value": float(own_N.mean()), "interval": interval(sums_RxS[:, column] / sums_RxS[:, -1])}
        for column, (name, own_N) in enumerate(values.items())
    }


def measures_with_intervals(
    rows_N: Int[np.ndarray, " n"],
    columns_N: Int[np.ndarray, " n"],
    shape: tuple[int, int],
    measure: Callable[[Float[np.ndarray, "r k l"]], dict[str, Float[np.ndarray, " r"]]],
    resampling: Resampling,
    *,
    centred: bool = False,
) -> dict[str, dict[str, float | list[float]]]:
    """Measures of a table of counts, such as a confusion matrix, and their intervals.

    Args:
        rows_N: Row that each window counts in.
        columns_N: Its column.
        shape: Of the table.
        measure: From tables to values by name, for any number of tables.
        resampling: Of the windows.
        centred: Whether the values of resamples are shifted so that their mean is the value measured: for measures that
            grow where windows are drawn twice, as these always agree with themselves.

    Returns:
        By name, "value" and "interval"; a measure that the table does not have (NaN) is left out.
    """
    cells, windows = shape[0] * shape[1], len(rows_N)
    cell_N = rows_N * shape[1] + columns_N
    one_hot_NxS = csr_array((np.ones(windows), (np.arange(windows), cell_N)), shape=(windows, cells))
    measured = measure(np.bincount(cell_N, minlength=cells).reshape(1, *shape).astype(np.float64))
    resampled = measure(resampling.sums(one_hot_NxS).reshape(-1, *shape))
    with_intervals: dict[str, dict[str, float | list[float]]] = {}
    for name, (value,) in measured.items():
        if not np.isnan(value):
            shift = value - np.nanmean(resampled[name]) if centred else 0.0
            with_intervals[name] = {"value": float(value), "interval": interval(resampled[name] + shift)}
    return with_intervals
