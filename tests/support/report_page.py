"""A page like those of real runs, from random numbers."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from train.evaluation.page import Page

HOSTILE = (
    "<script>document.title = 'hacked'</script> & \"quotes\" </script>"
    "<img src=x onerror=\"document.title='hacked'\"> 🛁"
)
HOSTILE_LABEL = "Cook</script><b onmouseover=\"document.title='hacked'\">&amp;'x"
WIDTH = 16
WAYS = ("zero-shot", "linear probe, embedding")


def make_page(windows: int = 60, activities: int = 5, seed: int = 0, **changes: Any) -> Page:
    """A page of so many windows, with any of its fields replaced. The first label and the first text are hostile."""
    rng = np.random.default_rng(seed)
    names = [HOSTILE_LABEL, *(f"Activity_{number:02d}" for number in range(1, activities))]
    centre_LxD = rng.standard_normal((activities, WIDTH))
    share_L = 1 / np.arange(1, activities + 1)
    actual_N = np.repeat(rng.choice(activities, windows // 3 + 1, p=share_L / share_L.sum()), 3)[:windows]
    guessed_N = np.where(rng.random(windows) < 0.6, actual_N, rng.integers(activities, size=windows))
    guesses = dict(zip(WAYS, (guessed_N, actual_N), strict=True))
    minutes_N = rng.integers(5, 60, windows).cumsum()
    starts = [datetime(2024, 1, 5, 20) + timedelta(minutes=int(minute)) for minute in minutes_N]
    ends = [
        start + timedelta(minutes=int(length))
        for start, length in zip(starts, rng.integers(20, 90, windows), strict=True)
    ]
    texts = [HOSTILE, *(f"Movement number {number} in the kitchen, morning" for number in range(1, windows))]
    own = [(row, row) for row in range(windows)] + [(row, (row + 1) % windows) for row in range(0, windows, 2)]
    rows, columns = np.array(sorted(set(own))).T
    content: dict[str, Any] = {
        "title": f"A run of <i>{windows}</i> windows",
        "config": {
            "encoder": "chronos2",
            "text_model_name": "bag-of-words",
            "betas": [0.9, 0.98],
            "note": HOSTILE,
            "run": {"inputs": {"train": "abc"}, "versions": {"jax": "1.2.3"}},
        },
        "metrics": _metrics(),
        "report": _report(),
        "labels": [names[label] if index % 9 else "" for index, label in enumerate(actual_N)],
        "predictions": {way: [names[label] for label in guess_N] for way, guess_N in guesses.items()},
        "windows_NxD": _unit(centre_LxD[actual_N] + rng.standard_normal((windows, WIDTH))),
        "descriptions": dict(zip(names, _unit(centre_LxD), strict=True)),
        "starts": [start.isoformat() for start in starts],
        "ends": [end.isoformat() for end in ends],
        "rooms": [["Kitchen", "Bath & <Room>"][: index % 3] for index in range(windows)],
        "captions": [[texts[column] for column in columns[rows == index]] for index in range(windows)],
        "texts": texts,
        "texts_CxD": _unit(centre_LxD[actual_N] + rng.standard_normal((windows, WIDTH))),
        "matches_NxC": csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=(windows, windows)),
    }
    return Page(**content | changes)


def _unit(points_NxD: np.ndarray) -> np.ndarray:
    return (points_NxD / np.linalg.norm(points_NxD, axis=1, keepdims=True)).astype(np.float32)


def _metrics() -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = [{"step": 0, "kind": "start", "devices": 1, "mesh": {"data": 1}}]
    for step in range(10, 60, 10):
        both = {"loss": 30 / step, "accuracy_window_to_text": step / 60, "accuracy_text_to_window": step / 90}
        lines.append({"step": step, "kind": "train", "temperature": 0.07, "learning_rate": 1e-3 / step, **both})
        lines.append({"step": step, "kind": "validation", **both, "loss": None if step == 30 else 40 / step})
    return lines


def _report() -> dict[str, Any]:
    def number(value: float, **guesses: float) -> dict[str, Any]:
        return {"value": value, "interval": [value - 0.05, value + 0.05], **guesses}

    def measures(more: float) -> dict[str, Any]:
        towards = {"queries": 60, "candidates": 60, "recall_at_1": number(0.3 + more, chance=0.02)}
        towards["mean_reciprocal_rank"] = number(0.4 + more, chance=0.05)
        scores = {
            "accuracy": number(0.6 + more, chance=0.2, majority=0.45),
            "per_class": {"Sleep": {"windows": 3}},
        }
        return {
            "run": {"encoder": "chronos2", "weights": "random:tiny", "step": 50, "train_windows": 240},
            "retrieval": {"resampled": {"units": "days", "count": 5}, "multi_positive": {"window_to_caption": towards}},
            "recognition": {"windows": 53, "zero_shot": scores, "probe": {"not_measured": f"no {HOSTILE}"}},
            "clustering": {"windows": 53, "clusters": 5, "adjusted_rand": number(-0.02 + more, chance=0.0)},
        }

    ours = measures(0.0)
    over_seeds = {"multi_positive": {"window_to_caption": {"recall_at_1": {"value": 0.35, "half_width": 0.04}}}}
    intervals = {"level": 0.95, "method": "percentile bootstrap", "resamples": 1000}
    seeds = {"seeds": [0, 1, 2], "retrieval": over_seeds}
    return {"intervals": intervals, **ours, "baseline_statistics": measures(0.1), "seeds": seeds}
