"""Examples of retrieval: windows, and the texts that are most like them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from train.evaluation.page.content import Page
from train.evaluation.page.plot import shortened, span

EXAMPLES = 5  # right ones, and as many wrong ones
FOUND = 5  # texts of an example
MOST_WINDOWS = 2000  # among which examples are chosen, evenly spread over the split
SIMILARITIES_AT_ONCE = 2**24  # in memory
LONGEST = 300  # characters of a caption


@dataclass(frozen=True)
class Found:
    """A text, its cosine with the window, and whether it is the window's own."""

    text: str
    score: float
    right: bool


@dataclass(frozen=True)
class Example:
    """A window as a query.

    Attributes:
        activity: Its label in words, "no label" where it has none.
        when: Its time in words.
        rooms: Its rooms.
        captions: Its own captions.
        found: The texts most like it, the best first.
        place: At which place the first of its own texts came, counted from 1.
    """

    activity: str
    when: str
    rooms: str
    captions: list[str]
    found: list[Found]
    place: int


def examples(page: Page) -> tuple[list[Example], list[Example]]:
    """Windows whose first text is their own, and windows whose first text is not; at most `EXAMPLES` of each.

    Both are spread over activities, and over how well it went: from the surest to the narrowest success (by how far
    the best own text is above the best other one), from the nearest to the furthest miss.
    """
    answerable = np.flatnonzero(np.diff(page.matches_NxC.indptr))
    if not len(answerable):
        return [], []
    places = np.linspace(0, len(answerable) - 1, min(len(answerable), MOST_WINDOWS)).round().astype(int)
    asked_A = answerable[np.unique(places)]
    margin_A = _margins(page, asked_A)
    labels = [page.labels[window] for window in asked_A]
    sides = (np.flatnonzero(margin_A > 0), np.flatnonzero(margin_A <= 0))
    right, wrong = ([_example(page, int(asked_A[own])) for own in _spread(side, -margin_A, labels)] for side in sides)
    return right, wrong


def _margins(page: Page, windows_A: Int[np.ndarray, " a"]) -> Float[np.ndarray, " a"]:
    """How far the best own text of a window is above the best other one."""
    margins = []
    at_once = max(1, SIMILARITIES_AT_ONCE // len(page.texts))
    for start in range(0, len(windows_A), at_once):
        part = windows_A[start : start + at_once]
        similarity_BxC, own_BxC = _similarity(page, part)
        best_own_B = np.where(own_BxC, similarity_BxC, -np.inf).max(axis=1)
        best_other_B = np.where(own_BxC, -np.inf, similarity_BxC).max(axis=1)
        margins.append(best_own_B - best_other_B)
    return np.concatenate(margins)


def _similarity(
    page: Page, windows_B: Int[np.ndarray, " b"]
) -> tuple[Float[np.ndarray, "b c"], Bool[np.ndarray, "b c"]]:
    """Cosines of windows and texts, and which texts are the windows' own."""
    return page.windows_NxD[windows_B] @ page.texts_CxD.T, page.matches_NxC[windows_B].toarray() != 0


def _spread(candidates: Int[np.ndarray, " m"], order_A: Float[np.ndarray, " a"], labels: Sequence[str]) -> list[int]:
    """Candidates evenly spaced in an order; for an activity that is shown already, the next one of another activity."""
    ranked = candidates[np.argsort(order_A[candidates], kind="stable")].tolist()
    wanted = np.linspace(0, len(ranked) - 1, min(EXAMPLES, len(ranked))).round().astype(int).tolist()
    chosen: list[int] = []
    for place in wanted:
        rest = [own for own in ranked[place:] + ranked[:place][::-1] if own not in chosen]
        seen = {labels[own] for own in chosen}
        chosen.append(next((own for own in rest if labels[own] not in seen), rest[0]))
    return sorted(chosen, key=ranked.index)


def _example(page: Page, window: int) -> Example:
    similarity_1xC, own_1xC = _similarity(page, np.array([window]))
    ranked_C = np.argsort(-similarity_1xC[0], kind="stable")
    found = [
        Found(shortened(page.texts[text], LONGEST), float(similarity_1xC[0, text]), bool(own_1xC[0, text]))
        for text in ranked_C[:FOUND]
    ]
    return Example(
        page.styles[page.labels[window]].name,
        span(page.starts[window], page.ends[window]),
        ", ".join(page.rooms[window]),
        [shortened(caption, LONGEST) for caption in page.captions[window]],
        found,
        int(own_1xC[0, ranked_C].argmax()) + 1,
    )
