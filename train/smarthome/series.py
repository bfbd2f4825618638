"""The five-variate series of a window."""

import numpy as np
from jaxtyping import Bool, Float32, Shaped

from train.smarthome.events import Events
from train.smarthome.home import Layout
from train.smarthome.vocabulary import Vocabulary

VARIATES = ("sensor", "room", "x", "y", "elapsed")


def event_variates(
    events: Events, rooms: Shaped[np.ndarray, " e"], vocabulary: Vocabulary, places: Layout, across_days: bool = False
) -> Float32[np.ndarray, "v e"]:
    """The variates of every event, in the order of `VARIATES`.

    sensor and room are ids over the size of their vocabulary, in (0, 1). x and y are in [0, 1] over the home, NaN where
    the place is not known. elapsed is log1p of the seconds since the previous event of the file, 0 for the first event
    of a file and, unless `across_days`, of a day.
    """
    previous = np.diff(events.timestamp, prepend=events.timestamp[:1]) / 1e6
    if not across_days:
        new_day: Bool[np.ndarray, " e"] = np.diff(events.day, prepend=events.day[:1]) != 0
        previous = np.where(new_day, 0.0, previous)
    return np.stack(
        [
            vocabulary.encode("sensor", events.sensor) / vocabulary.size("sensor"),
            vocabulary.encode("room", rooms) / vocabulary.size("room"),
            *places.locate(events.sensor, rooms),
            np.log1p(previous),
        ]
    ).astype(np.float32)


def pad_left(variates_VxE: Float32[np.ndarray, "v e"], length: int) -> Float32[np.ndarray, "v {length}"]:
    """The latest `length` events, with missing values (NaN) before them where there are fewer.

    On the left, because the encoder forecasts from the right end: that is where its latest values have to be.
    """
    series_VxT = np.full((len(variates_VxE), length), np.nan, dtype=np.float32)
    kept = min(length, variates_VxE.shape[1])
    if kept:
        series_VxT[:, -kept:] = variates_VxE[:, -kept:]
    return series_VxT
