"""The measures of evaluation.json as tables, whatever is nested in it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from train.evaluation.names import encoder_name
from train.evaluation.report import NOT_MEASURED
from train.evaluation.seeds import is_same

BASELINE = "baseline_statistics"
SEEDS = "seeds"
INTERVALS = "intervals"
ELSEWHERE = ("run", BASELINE, SEEDS, INTERVALS)  # keys of a report that are no measures of this run
PER_CLASS = "per_class"  # has a table of its own
GUESSES = ("chance", "majority")
SHARES = ("recall", "precision", "accuracy", "f1", "purity")  # in names of what reads better in per cent
WORDS = {"f1": "F1"}
HEADLINES = {
    "window → caption, exact, recall at 1": ("retrieval", "exact", "window_to_caption", "recall_at_1"),
    "window → caption, exact, recall at 10": ("retrieval", "exact", "window_to_caption", "recall_at_10"),
    "window → any of its captions, recall at 1": ("retrieval", "multi_positive", "window_to_caption", "recall_at_1"),
    "window → any of its captions, recall at 10": ("retrieval", "multi_positive", "window_to_caption", "recall_at_10"),
    "zero-shot activity, accuracy": ("recognition", "zero_shot", "accuracy"),
    "linear probe of embedding, accuracy": ("recognition", "linear_probe_of_embedding", "accuracy"),
    "clusters, adjusted Rand": ("clustering", "adjusted_rand"),
}


@dataclass(frozen=True)
class Number:
    """A number as text, its interval as text, and what a bar shows of both, in per cent of the bar."""

    text: str
    interval: str
    at: float
    low: float
    high: float


@dataclass(frozen=True)
class Measure:
    """One row: its name, then the number of each column, None where there is none."""

    name: str
    numbers: list[Number | None]


@dataclass(frozen=True)
class Group:
    """Measures that belong together; `note` has counts, or why nothing was measured."""

    title: str
    note: str
    measures: list[Measure]


def columns_of(report: dict[str, Any]) -> list[str]:
    """Headings of the columns: this run, the baseline, both over seeds, and guesses, as far as there are numbers."""
    guessed = {name for _, content in _walk(report) for leaf in content.values() for name in _keys(leaf)}
    return [*_sources(report), *(name for name in GUESSES if name in guessed)]


def headlines_of(report: dict[str, Any]) -> list[Measure]:
    """The measures that a reader looks for first, as far as they are there; columns as `columns_of`."""
    measures = [_measure(name, path, report) for name, path in HEADLINES.items()]
    return [measure for measure in measures if measure.numbers[0]]


def groups_of(report: dict[str, Any]) -> list[Group]:
    """All measures in the order of the report; columns as `columns_of`."""
    groups = []
    for path, content in _walk(report):
        leaves = [key for key, leaf in content.items() if _is_measure(leaf)]
        measures = [_measure(in_words(key), (*path, key), report) for key in leaves]
        counts = [f"{value:,} {in_words(key)}" for key, value in content.items() if type(value) is int]
        words = [f"{in_words(key)}: {value}" for key, value in content.items() if isinstance(value, str)]
        if measures or NOT_MEASURED in content:
            groups.append(Group(", ".join(map(in_words, path)), " · ".join(counts + words), measures))
    return groups


def intervals_of(report: dict[str, Any]) -> str:
    """How the intervals were taken, in words; "" where the report does not say."""
    intervals = report.get(INTERVALS)
    if not isinstance(intervals, dict):
        return ""
    level, others = intervals.get("level"), {key: value for key, value in intervals.items() if key != "level"}
    words = [f"{level:.0%}"] if isinstance(level, float) else []
    words += [value if isinstance(value, str) else f"{value:,} {in_words(key)}" for key, value in others.items()]
    return ", ".join(words)


def in_words(key: str) -> str:
    """The name of a key: "recall_at_5" → "recall at 5"."""
    arrow = key.replace("_to_", " → ")
    return " ".join(WORDS.get(word, word) for word in arrow.replace("_", " ").split())


def value_of(leaf: Any) -> float | None:
    """The number of a measure; None where it was not measured."""
    value = leaf.get("value") if isinstance(leaf, dict) else leaf
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def written(key: str, value: float) -> str:
    """A number as readers of this measure know it."""
    return f"{value:.1%}" if any(share in key for share in SHARES) else f"{value:.3f}"


def _measure(name: str, path: tuple[str, ...], report: dict[str, Any]) -> Measure:
    sources = _sources(report)
    guesses = columns_of(report)[len(sources) :]
    leaf = _at(report, path)
    numbers = [_number(path[-1], _at(source, path)) for source in sources.values()]
    return Measure(name, numbers + [_number(path[-1], _at(leaf, (guess,))) for guess in guesses])


def _walk(content: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """All dictionaries that hold something other than dictionaries without a value, each with its path."""
    for key, inner in content.items():
        if key == PER_CLASS or (not path and key in ELSEWHERE) or not isinstance(inner, dict) or _is_measure(inner):
            continue
        if any(not isinstance(own, dict) or _is_measure(own) for own in inner.values()):
            yield (*path, key), inner
        yield from _walk(inner, (*path, key))


def _is_measure(leaf: Any) -> bool:
    return isinstance(leaf, float) or (isinstance(leaf, dict) and "value" in leaf)


def _keys(leaf: Any) -> list[str]:
    return list(leaf) if isinstance(leaf, dict) else []


def _at(content: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        content = content.get(key) if isinstance(content, dict) else None
    return content


def _sources(report: dict[str, Any]) -> dict[str, Any]:
    """Heading → the report of a column."""
    baseline, seeds = report.get(BASELINE), report.get(SEEDS)
    sources = {encoder_name(report.get("run", {})): report}
    if baseline:
        sources["statistics"] = baseline
    if seeds:
        mean = f"mean of {len(seeds['seeds'])} seeds" if isinstance(seeds.get("seeds"), list) else "mean of seeds"
        sources[mean] = seeds
        if seeds.get(BASELINE):
            sources[f"statistics, {mean}"] = seeds[BASELINE]
    return sources


def _number(key: str, leaf: Any) -> Number | None:
    if (value := value_of(leaf)) is None:
        return None
    low, high, between = value, value, ""
    if isinstance(leaf, dict) and isinstance(half := leaf.get("half_width"), float):
        low, high = value - half, value + half
        between = "same for all seeds" if is_same(leaf) else f"± {written(key, half)}"
    elif isinstance(leaf, dict) and (interval := leaf.get("interval")) and None not in interval:
        low, high = interval
        between = f"{written(key, low)} to {written(key, high)}"
    at, low, high = (round(100 * min(max(own, 0.0), 1.0), 1) for own in (value, low, high))
    return Number(written(key, value), between, at, low, high)
