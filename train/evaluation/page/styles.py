"""One look for each label, on the whole page."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from train.smarthome.names import readable

# Okabe and Ito, "Color Universal Design" (2008): told apart with any colour vision. Black is left out, which a dark
# page swallows. More labels than colours differ by symbol and hatching.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down")
HATCHES = ("", "/", ".", "x", "-", "|", "+")
UNLABELLED = "#9a9a9a"


@dataclass(frozen=True)
class Style:
    """How a label is drawn.

    Attributes:
        name: The label in words.
        colour: Of points and bars, as CSS has it.
        symbol: Of points, as Plotly names it.
        hatch: Of bars, as Plotly names it.
        mark: Number of symbol and hatching, for the legend.
        count: Windows that have the label.
    """

    name: str
    colour: str
    symbol: str
    hatch: str
    mark: int
    count: int


def order_of(labels: Sequence[str], predictions: Iterable[Sequence[str]], described: Iterable[str]) -> dict[str, int]:
    """All labels with the number of their windows, the most frequent first.

    Then come those that are only predicted, then those that only have a description; "" is not among them.
    """
    counts = Counter(label for label in labels if label)
    guesses = Counter(label for predicted in predictions for label in predicted if label)
    everything = {*counts, *guesses, *filter(None, described)}
    return {label: counts[label] for label in sorted(everything, key=lambda own: (-counts[own], -guesses[own], own))}


def styles_of(counts: dict[str, int]) -> dict[str, Style]:
    """A style for each label, and a grey one for ""."""
    styles = {}
    for number, (label, count) in enumerate(counts.items()):
        colour, mark = number % len(COLOURS), number // len(COLOURS) % len(SYMBOLS)
        name = readable(label) or label
        styles[label] = Style(name, COLOURS[colour], SYMBOLS[mark], HATCHES[mark], mark, count)
    return styles | {"": Style("no label", UNLABELLED, "circle-open", "", 0, 0)}
