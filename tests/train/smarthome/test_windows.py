import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from train.smarthome.events import MICROSECONDS_PER_DAY, Events
from train.smarthome.windows import (
    RunningCut,
    SplitOptions,
    WindowOptions,
    cut_windows,
    majority_label,
    split_days,
)

DAY = MICROSECONDS_PER_DAY // 1_000_000


def events_at(seconds: list[float], labels: list[str] | None = None) -> Events:
    count = len(seconds)
    return Events(
        timestamp=np.round(np.array(seconds) * 1e6).astype(np.int64),
        sensor=np.full(count, "M001"),
        location=None,
        state=np.full(count, "ON"),
        label=np.array(labels if labels is not None else [""] * count),
        form="annotated",
        malformed=(),
    )


def cut(events: Events, chosen: list[bool] | None = None, **options: object) -> list[list[int]]:
    mask = np.ones(len(events), dtype=bool) if chosen is None else np.array(chosen)
    return cut_windows(events, mask, WindowOptions.model_validate(options)).tolist()


class TestFixedLength:
    def test_half_of_a_window_is_in_the_next(self) -> None:
        assert cut(events_at(list(range(20))), length=10) == [[0, 10], [5, 15], [10, 20]]

    @pytest.mark.parametrize(("overlap", "starts"), [(0.0, [0, 10]), (0.5, [0, 5, 10]), (0.9, list(range(11)))])
    def test_overlap(self, overlap: float, starts: list[int]) -> None:
        assert [start for start, _ in cut(events_at(list(range(20))), length=10, overlap=overlap)] == starts

    def test_a_tail_is_kept_if_it_has_enough_events(self) -> None:
        events = events_at(list(range(24)))
        assert cut(events, length=10, overlap=0, minimum_events=4)[-1] == [20, 24]
        assert cut(events, length=10, overlap=0, minimum_events=5)[-1] == [10, 20]

    def test_a_tail_that_sees_nothing_new_is_not_a_window(self) -> None:
        assert cut(events_at(list(range(10))), length=10) == [[0, 10]]

    def test_a_short_window_needs_no_more_events_than_it_has(self) -> None:
        assert len(cut(events_at(list(range(4))), length=2, overlap=0, minimum_events=5)) == 2

    def test_a_day_ends_a_window_unless_asked(self) -> None:
        events = events_at([DAY - 3, DAY - 2, DAY - 1, DAY, DAY + 1])
        assert cut(events, length=10, minimum_events=2) == [[0, 3], [3, 5]]
        assert cut(events, length=10, minimum_events=2, cross_midnight=True) == [[0, 5]]


class TestFixedDuration:
    def test_windows_last_as_long_as_asked(self) -> None:
        events = events_at([0, 10, 20, 30, 40, 50, 59])
        windows = cut(events, window_kind="duration", duration=30, overlap=0, minimum_events=1)
        assert windows == [[0, 3], [3, 7]]

    def test_overlap_is_in_time(self) -> None:
        events = events_at([0, 10, 20, 30, 40, 50])
        windows = cut(events, window_kind="duration", duration=20, overlap=0.5, minimum_events=1)
        assert windows == [[0, 2], [1, 3], [2, 4], [3, 5], [4, 6]]

    def test_quiet_times_make_no_windows(self) -> None:
        events = events_at([0, 1, 2, 3_600, 3_601])
        assert cut(events, window_kind="duration", duration=60, minimum_events=2) == [[0, 3], [3, 5]]

    def test_the_latest_events_are_kept_of_too_many(self) -> None:
        events = events_at([second / 10 for second in range(100)])
        assert cut(events, window_kind="duration", duration=60, length=20) == [[80, 100]]


class TestSegments:
    def test_activities_cut_first(self) -> None:
        events = events_at(list(range(12)), ["A"] * 4 + [""] * 2 + ["B"] * 6)
        windows = cut(events, length=4, overlap=0, minimum_events=2, segment_by_activity=True)
        assert windows == [[0, 4], [6, 10], [10, 12]]

    def test_activities_cut_windows_of_fixed_duration(self) -> None:
        events = events_at(list(range(12)), ["A"] * 4 + [""] * 2 + ["B"] * 6)
        options = {"window_kind": "duration", "duration": 100, "minimum_events": 2, "segment_by_activity": True}
        assert cut(events, **options) == [[0, 4], [6, 12]]

    def test_events_of_the_other_split_are_in_no_window(self) -> None:
        chosen = [True] * 4 + [False] * 3 + [True] * 5
        assert cut(events_at(list(range(12))), chosen, length=10, minimum_events=1) == [[0, 4], [7, 12]]

    @given(
        gaps=st.lists(st.floats(0.0, 40_000.0), min_size=1, max_size=60),
        seed=st.integers(0, 100),
        kind=st.sampled_from(["length", "duration"]),
        segment=st.booleans(),
        length=st.integers(1, 12),
    )
    def test_what_always_holds(self, gaps: list[float], seed: int, kind: str, segment: bool, length: int) -> None:
        generator = np.random.default_rng(seed)
        labels = generator.choice(["", "A", "B"], len(gaps)).tolist()
        chosen = generator.random(len(gaps)) < 0.8
        events = events_at(np.cumsum(gaps).tolist(), labels)
        options = WindowOptions(
            window_kind="length" if kind == "length" else "duration",
            length=length,
            duration=3_600,
            minimum_events=1,
            segment_by_activity=segment,
        )
        windows = cut_windows(events, chosen, options)
        for start, stop in windows:
            assert 0 < stop - start <= length
            assert chosen[start:stop].all()
            assert len(np.unique(events.day[start:stop])) == 1
            if segment:
                assert set(labels[start:stop]) in ({"A"}, {"B"})
        if kind == "length":
            covered = {index for start, stop in windows for index in range(start, stop)}
            usable = chosen & (events.label != "") if segment else chosen
            assert covered == set(np.flatnonzero(usable).tolist())
        assert (np.diff(windows, axis=0) >= 0).all()


@given(
    gaps=st.lists(st.integers(0, 9), min_size=1, max_size=120),
    pieces=st.lists(st.integers(1, 30), min_size=1, max_size=10),
    kind=st.sampled_from(["length", "duration"]),
    length=st.integers(1, 12),
    overlap=st.sampled_from([0.0, 0.5, 0.9]),
    minimum=st.integers(1, 3),
)
def test_events_that_come_in_pieces_are_cut_as_if_they_came_together(
    gaps: list[int], pieces: list[int], kind: str, length: int, overlap: float, minimum: int
) -> None:
    events = events_at((np.cumsum(gaps) * 1e-6).tolist())
    options = WindowOptions.model_validate(
        {
            "window_kind": kind,
            "length": length,
            "duration": 12e-6,
            "overlap": overlap,
            "minimum_events": minimum,
            "cross_midnight": True,
        }
    )
    cut = RunningCut(options)
    ends = [*(end for end in np.cumsum(pieces).tolist() if end < len(events)), len(events)]
    found = []
    for start, end in [*zip([0, *ends[:-1]], ends, strict=True), (None, None)]:
        held, windows = cut(None if start is None else events[start:end])
        assert len(windows) == 0 or windows[:, 0].min() > 0 or held.timestamp[0] == events.timestamp[0]
        found += [held.timestamp[first:last].tolist() for first, last in windows]
    together = cut_windows(events, np.ones(len(events), dtype=bool), options)
    assert found == [events.timestamp[first:last].tolist() for first, last in together]


def test_a_window_waits_for_events_of_the_same_time_in_the_next_piece() -> None:
    cut = RunningCut(WindowOptions(window_kind="duration", duration=3e-6, minimum_events=1, overlap=0.0))
    pieces = [cut(events_at([0.0, 1e-6, 2e-6])), cut(events_at([2e-6])), cut(None)]
    assert [stop - start for _, windows in pieces for start, stop in windows] == [4]


def test_events_that_come_in_pieces_do_not_heap_up() -> None:
    cut = RunningCut(WindowOptions(length=10, cross_midnight=True))
    held = [len(cut(events_at([100.0 * piece + i for i in range(100)]))[0]) for piece in range(20)]
    assert max(held) <= 100 + 10 + 1


def test_majority_label() -> None:
    assert majority_label(np.array(["A", "B", "B"])) == "B"
    assert majority_label(np.array(["B", "A", "A", "B"])) == "B"
    assert majority_label(np.array(["", "", "A"])) == ""


class TestSplit:
    DAYS = np.arange(100, 130)

    def test_the_first_days_train_and_the_last_validate(self) -> None:
        train, validation = split_days(self.DAYS, SplitOptions(train_days=24, validation_days=6))
        assert train.tolist() == list(range(100, 124))
        assert validation.tolist() == list(range(124, 130))

    def test_what_is_not_given_is_the_rest(self) -> None:
        train, validation = split_days(self.DAYS, SplitOptions(train_days=20))
        assert (len(train), len(validation)) == (20, 10)
        train, validation = split_days(self.DAYS, SplitOptions(validation_days=3))
        assert (len(train), len(validation)) == (27, 3)
        train, validation = split_days(self.DAYS, SplitOptions())
        assert (len(train), len(validation)) == (24, 6)

    def test_days_are_drawn_with_the_seed(self) -> None:
        options = SplitOptions(split="day", validation_days=10)
        train, validation = split_days(self.DAYS, options, seed=1)
        assert sorted([*train, *validation]) == self.DAYS.tolist()
        assert validation.tolist() != list(range(120, 130))
        assert validation.tolist() == split_days(self.DAYS, options, seed=1)[1].tolist()
        assert validation.tolist() != split_days(self.DAYS, options, seed=2)[1].tolist()

    def test_given_days(self) -> None:
        days = np.array(["2020-01-01", "2020-01-02", "2020-01-05"], dtype="datetime64[D]").astype(np.int64)
        options = SplitOptions(split="given", given_validation=("2020-01-02",))
        train, validation = split_days(days, options)
        assert train.tolist() == [days[0], days[2]]
        assert validation.tolist() == [days[1]]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (
                SplitOptions(train_days=25, validation_days=6),
                "train_days 25 and validation_days 6 need 31 days, but the events cover 30 days",
            ),
            (SplitOptions(train_days=30), "train_days 30 leaves no day to validate: the events cover 30 days"),
            (SplitOptions(train_days=40), "cover 30 days. Give a train_days of at most 29"),
            (SplitOptions(validation_days=40), "validation_days 40 leaves no day to train: the events cover 30 days"),
            (SplitOptions(split="given"), "needs given_validation"),
            (SplitOptions(split="given", given_validation=("2020-01-02",)), "without events: \\['2020-01-02'\\]"),
            (SplitOptions(split="given", given_validation=("yesterday",)), "Write days as YYYY-MM-DD"),
        ],
    )
    def test_impossible_splits(self, options: SplitOptions, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            split_days(self.DAYS, options)

    def test_a_single_day_cannot_be_split(self) -> None:
        with pytest.raises(ValueError, match="The events cover 1 day; at least two are needed"):
            split_days(self.DAYS[:1], SplitOptions())

    @pytest.mark.parametrize(
        "options",
        [
            {"given_validation": ("2020-01-01",)},
            {"split": "given", "train_days": 3},
            {"split": "given", "given_train": ("2020-01-01",), "given_validation": ("2020-01-01",)},
        ],
    )
    def test_contradictory_options(self, options: dict[str, object]) -> None:
        with pytest.raises(ValidationError):
            SplitOptions.model_validate(options)
