from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import train.search_index
from train.search_index import Found, SearchIndex
from train.smarthome.dataset import Window

QUERY = np.array([1.0, 0.0], np.float32)


def window(name: str, start: str = "", end: str = "", **captions: list[str]) -> Window:
    return Window(name, np.zeros((5, 3), np.float32), captions, "", start, end, ["Kitchen"], ["M1"])


def index(*windows: tuple[Window, float]) -> SearchIndex:
    """Windows and their cosine with `QUERY`."""
    batches = [([each], np.array([[cosine, np.sqrt(1 - cosine**2)]], np.float32)) for each, cosine in windows]
    return SearchIndex.of(batches)


def hours(*cosines: float, minutes: int = 0) -> SearchIndex:
    """Windows that begin at one hour after the other and last so many minutes more than one."""
    return index(
        *(
            (window(f"w{hour}", f"2024-01-01T{hour:02d}:00:00", f"2024-01-01T{hour + minutes // 60:02d}:59:00"), cosine)
            for hour, cosine in enumerate(cosines)
        )
    )


def names(found: list[Found]) -> list[str]:
    return [each.window.window_id for each in found]


def test_the_best_come_first_with_their_scores() -> None:
    found = hours(0.1, 0.9, -0.5, 0.3).search(QUERY, top=3)
    assert names(found) == ["w1", "w3", "w0"]
    assert [each.score for each in found] == pytest.approx([0.9, 0.3, 0.1])


def test_equal_scores_keep_the_order_of_windows() -> None:
    assert names(hours(0.5, 0.5, 0.9, 0.5).search(QUERY, top=3)) == ["w2", "w0", "w1"]


def test_fewer_windows_than_wanted() -> None:
    assert len(hours(0.1, 0.2).search(QUERY, top=10)) == 2


class TestOverlap:
    def test_only_the_best_of_overlapping_windows_is_found(self) -> None:
        overlapping = hours(0.5, 0.9, 0.6, 0.1, minutes=60)
        assert names(overlapping.search(QUERY)) == ["w1", "w3"]

    def test_unless_all_are_asked_for(self) -> None:
        assert names(hours(0.5, 0.9, 0.6, 0.1, minutes=60).search(QUERY, overlapping=True)) == ["w1", "w2", "w0", "w3"]

    def test_a_crowd_of_overlapping_windows_does_not_hide_others(self) -> None:
        crowd = [(window(f"c{i}", "2024-01-01T00:00:00", "2024-01-01T00:10:00"), 0.9) for i in range(200)]
        other = (window("other", "2024-01-02T00:00:00", "2024-01-02T00:10:00"), 0.1)
        assert names(index(*crowd, other).search(QUERY, top=2)) == ["c0", "other"]

    def test_windows_without_time_overlap_nothing(self) -> None:
        assert len(index((window("a"), 0.5), (window("b"), 0.4)).search(QUERY)) == 2

    def test_windows_that_touch_overlap(self) -> None:
        """A window ends with its last event, which may be the first of the next."""
        before = window("before", "2024-01-01T00:00:00", "2024-01-01T01:00:00")
        touching = window("touching", "2024-01-01T01:00:00", "2024-01-01T02:00:00")
        apart = window("apart", "2024-01-01T01:00:00.000001", "2024-01-01T02:00:00")
        for better, worse, found in [
            (before, touching, ["before"]),
            (touching, before, ["touching"]),
            (before, apart, ["before", "apart"]),
            (apart, before, ["apart", "before"]),
        ]:
            assert names(index((better, 0.5), (worse, 0.4)).search(QUERY)) == found

    @settings(max_examples=50, deadline=None)
    @given(
        st.lists(st.tuples(st.integers(0, 7), st.none() | st.integers(0, 200), st.integers(-5, 30)), min_size=1),
        st.integers(1, 12),
    )
    def test_the_rule(self, drawn: list[tuple[int, int | None, int]], top: int) -> None:
        """One after the other by score, unless one that was found before has a moment of it (some clocks go back)."""

        def moment(minute: int) -> str:
            return (datetime(2024, 1, 1, 1) + timedelta(minutes=minute)).isoformat()

        windows = [
            (window(str(number), *([] if begin is None else map(moment, (begin, begin + lasts)))), score / 8)
            for number, (score, begin, lasts) in enumerate(drawn)
        ]
        expected: list[str] = []
        taken: set[int] = set()
        for number, (_, begin, lasts) in sorted(enumerate(drawn), key=lambda each: -each[1][0]):
            minutes = set() if begin is None else set(range(begin + min(lasts, 0), begin + max(lasts, 0) + 1))
            if not minutes & taken:
                expected.append(str(number))
                taken |= minutes
        assert names(index(*windows).search(QUERY, top)) == expected[:top]


class TestTimes:
    INDEX = hours(0.1, 0.2, 0.3, 0.4)

    def test_since_and_until_are_about_the_beginning(self) -> None:
        since, until = datetime(2024, 1, 1, 1), datetime(2024, 1, 1, 3)
        assert names(self.INDEX.search(QUERY, since=since)) == ["w3", "w2", "w1"]
        assert names(self.INDEX.search(QUERY, until=until)) == ["w2", "w1", "w0"]
        assert names(self.INDEX.search(QUERY, since=since, until=until)) == ["w2", "w1"]
        assert self.INDEX.search(QUERY, since=datetime(2025, 1, 1)) == []

    def test_windows_without_time_are_left_out_then(self) -> None:
        mixed = index((window("timeless"), 0.9), (window("w", "2024-01-01T01:00:00", "2024-01-01T02:00:00"), 0.1))
        assert mixed.timeless == 1
        assert names(mixed.search(QUERY)) == ["timeless", "w"]
        assert names(mixed.search(QUERY, since=datetime(2023, 1, 1))) == ["w"]
        assert names(mixed.search(QUERY, until=datetime(2025, 1, 1))) == ["w"]

    def test_the_span_is_said_in_a_sentence(self) -> None:
        assert self.INDEX.span() == "Windows begin between 2024-01-01 00:00 and 2024-01-01 03:00."
        assert index((window("a"), 0.1)).span() == "None of 1 windows has a time."

    def test_zones_are_dropped(self) -> None:
        zoned = index((window("a", "2024-01-01T01:00:00+05:00", "2024-01-01T02:00:00+05:00"), 0.1))
        assert names(zoned.search(QUERY, since=datetime(2024, 1, 1, 1), until=datetime(2024, 1, 1, 1, 1))) == ["a"]


@pytest.mark.parametrize(
    ("captions", "shown"),
    [({"long": ["a b", "c"], "short": ["d"]}, "a b"), ({"long": [], "short": ["d"]}, "d"), ({}, "")],
)
def test_the_first_caption_is_shown(captions: dict[str, list[str]], shown: str) -> None:
    assert index((window("a", **captions), 0.1))[0].caption == shown


def test_a_search_is_one_product_and_no_full_sort(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that 100,000 windows of width 512 take some 30 ms on two cores, and 100 ms where all have to be looked at."""
    products, sorted_sizes = [], []

    class Counting(np.ndarray):
        def __matmul__(self, other: np.ndarray) -> np.ndarray:
            products.append(self.shape)
            return np.asarray(self) @ other

    argsort = np.argsort
    monkeypatch.setattr(
        train.search_index.np,
        "argsort",
        lambda array, **kind: sorted_sizes.append(len(array)) or argsort(array, **kind),
    )
    generator = np.random.default_rng(0)
    many = hours(*(0.0 for _ in range(20)))
    angle = generator.uniform(0, np.pi, 5_000)
    big = SearchIndex(
        np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32).view(Counting),
        np.datetime64("2024-01-01", "us") + np.arange(5_000) * np.timedelta64(3_600_000_000, "us"),
        np.datetime64("2024-01-01", "us") + np.arange(5_000) * np.timedelta64(3_600_000_000, "us"),
        many.shown,
        np.full(5_000, many.behind_N[0]),
    )
    shown = many[0]
    monkeypatch.setattr(SearchIndex, "__getitem__", lambda self, number: shown)
    assert [each.score for each in big.search(QUERY)] == pytest.approx(np.sort(np.cos(angle))[::-1][:10])
    assert products == [(5_000, 2)]
    assert max(sorted_sizes) < 200


class TestFile:
    def test_what_is_written_is_read(self, tmp_path: Path) -> None:
        saved = index(
            (window("ä", "2024-01-01T01:00:00", "2024-01-01T02:00:00", long=["Küche"]), 0.3), (window("b"), 0)
        )
        saved.save(tmp_path / "search" / "index.safetensors", "key")
        loaded = SearchIndex.load(tmp_path / "search" / "index.safetensors", "key")
        assert loaded is not None
        assert loaded.search(QUERY) == saved.search(QUERY)
        assert loaded.timeless == 1
        assert [path.name for path in (tmp_path / "search").iterdir()] == ["index.safetensors"]

    def test_an_index_of_something_else_or_damaged_is_none(self, tmp_path: Path) -> None:
        path = tmp_path / "index.safetensors"
        assert SearchIndex.load(path, "key") is None
        hours(0.1).save(path, "other key")
        assert SearchIndex.load(path, "key") is None
        path.write_bytes(path.read_bytes()[:-1])
        assert SearchIndex.load(path, "other key") is None
