"""The 70 statistical features of a window: the encoder to compare Chronos-2 with."""

import numpy as np
from jaxtyping import Bool, Float, Float32

SAMPLES = 50


def statistics_features(series_BxVxT: Float[np.ndarray, "b v t"]) -> Float32[np.ndarray, "b 4*v+50"]:
    """Mean, standard deviation, maximum and minimum of each variate, then 50 evenly spaced values of the series.

    That order, and all variates' means before all their deviations, are those of the earlier smart-home encoder, whose
    features had no notion of missing values. Here they do not count: statistics are over the present values of a
    variate (0 if it has none; the deviation, with n - 1, is 0 for a single one), and the samples are taken from the
    present values alone, variate after variate, at positions floor(i (n - 1) / 49). If there are fewer than 50, they
    are followed by zeros.

    Args:
        series_BxVxT: windows, NaN where missing.

    Returns:
        70 features for five variates, all finite.
    """
    series_BxVxT = series_BxVxT.astype(np.float64)
    present_BxVxT: Bool[np.ndarray, "b v t"] = ~np.isnan(series_BxVxT)
    count_BxV = present_BxVxT.sum(axis=2)
    filled_BxVxT = np.where(present_BxVxT, series_BxVxT, 0.0)
    mean_BxV = filled_BxVxT.sum(axis=2) / np.maximum(count_BxV, 1)
    deviation_BxVxT = np.where(present_BxVxT, filled_BxVxT - mean_BxV[:, :, None], 0.0)
    std_BxV = np.sqrt((deviation_BxVxT**2).sum(axis=2) / np.maximum(count_BxV - 1, 1))
    highest_BxV = np.where(present_BxVxT, series_BxVxT, -np.inf).max(axis=2, initial=-np.inf)
    lowest_BxV = np.where(present_BxVxT, series_BxVxT, np.inf).min(axis=2, initial=np.inf)
    any_BxV = count_BxV > 0
    extremes = [np.where(any_BxV, values, 0.0) for values in (highest_BxV, lowest_BxV)]
    samples = _evenly_spaced(filled_BxVxT, present_BxVxT)
    return np.concatenate([mean_BxV, std_BxV, *extremes, samples], axis=1).astype(np.float32)


def _evenly_spaced(
    filled_BxVxT: Float[np.ndarray, "b v t"], present_BxVxT: Bool[np.ndarray, "b v t"]
) -> Float[np.ndarray, "b 50"]:
    batch = len(filled_BxVxT)
    missing_BxF = ~present_BxVxT.reshape(batch, -1)
    present_first_BxF = np.argsort(missing_BxF, axis=1, kind="stable")
    padded_BxF = np.pad(
        np.take_along_axis(filled_BxVxT.reshape(batch, -1), present_first_BxF, axis=1), ((0, 0), (0, SAMPLES))
    )
    count_Bx1 = present_BxVxT.sum(axis=(1, 2))[:, None]
    step_1xS = np.arange(SAMPLES)[None, :]
    positions_BxS = np.where(count_Bx1 < SAMPLES, step_1xS, step_1xS * (count_Bx1 - 1) // (SAMPLES - 1))
    return np.take_along_axis(padded_BxF, positions_BxS, axis=1)
