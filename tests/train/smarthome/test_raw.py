import gzip
import lzma
import shutil
import tracemalloc
import warnings
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pytest

from train.prepare import PrepareOptions, prepare
from train.smarthome.dataset import Header, WindowSplit
from train.smarthome.raw import window_options, windows_of
from train.smarthome.records import open_split
from train.smarthome.simulator import simulate


@pytest.fixture(scope="module")
def simulated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four simulated days; its name makes the ids of its windows those of a training split."""
    path = tmp_path_factory.mktemp("raw") / "train"
    simulate(path, 4)
    return path


def prepared(raw: Path, folder: Path, **options: object) -> WindowSplit:
    """The windows of the whole file, as the training split."""
    keys = {"input": raw, "validation_input": raw, "split": "given", "output": folder / "prepared"}
    return open_split(prepare(PrepareOptions.model_validate(keys | options)), "train")


def assert_same_windows(raw: Path, split: WindowSplit) -> None:
    for found, expected in zip_longest(windows_of(raw, split.header), split):
        np.testing.assert_array_equal(found.series, expected.series)
        assert replace(found, series=expected.series) == expected


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cross_midnight": True},
        {"window_kind": "duration", "duration": 600, "length": 20},
        {"window_kind": "duration", "duration": 5_000, "length": 100, "cross_midnight": True, "seed": 3},
    ],
)
def test_windows_are_those_that_prepare_cuts(simulated_file: Path, tmp_path: Path, options: dict[str, object]) -> None:
    """Ids and captions, too, where the file is called like the split."""
    assert_same_windows(simulated_file, prepared(simulated_file, tmp_path, **options))


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
def test_windows_of_compressed_files(simulated_file: Path, tmp_path: Path, compress: type[bytes]) -> None:
    split = prepared(simulated_file, tmp_path)
    (tmp_path / "train").write_bytes(compress(simulated_file.read_bytes()))
    assert_same_windows(tmp_path / "train", split)


def test_windows_of_real_events(casas_file: Path, tmp_path: Path) -> None:
    raw = tmp_path / "train"
    shutil.copy(casas_file, raw)
    assert_same_windows(raw, prepared(raw, tmp_path, cross_midnight=True))


def test_a_described_home_is_used(simulated_file: Path, tmp_path: Path) -> None:
    split = open_split(prepare(PrepareOptions(simulate=2, output=tmp_path / "prepared")), "train")
    window = next(windows_of(simulated_file, split.header))
    assert set(window.rooms) <= {"Bedroom", "Bathroom", "Hallway"}
    assert not np.isnan(window.series[2:4, -1]).any()


def test_names_are_those_of_the_run_whatever_occurs(tmp_path: Path) -> None:
    """Both sensors are called like an activity, so that captions say sensor A and sensor B."""

    def events(name: str, *sensors: str) -> Path:
        path = tmp_path / name
        path.write_text(
            "".join(f"2024-01-01 00:00:{second:02d} {each} {each} ON Sleep\n" for second, each in enumerate(sensors))
        )
        return path

    header = prepared(events("train", "Sleep1", "Sleep2"), tmp_path, length=2, minimum_events=1).header
    (window,) = windows_of(events("new", "Sleep2", "Sleep2"), header)
    texts = " ".join([*window.captions["long"], *window.captions["short"]])
    assert "sensor B" in texts
    assert "sensor A" not in texts


def test_activities_cannot_cut_new_events(simulated_file: Path, tmp_path: Path) -> None:
    header = prepared(simulated_file, tmp_path).header
    by_activity = header.model_copy(update={"options": header.options | {"segment_by_activity": True}})
    with pytest.warns(UserWarning, match="cut without"):
        windows = windows_of(simulated_file, by_activity)
    assert [window.start for window in windows] == [window.start for window in windows_of(simulated_file, header)]


def renamed(raw: Path, folder: Path, names: dict[str, str]) -> Path:
    text = raw.read_text()
    for old, new in names.items():
        text = text.replace(f"\t{old}\t", f"\t{new}\t")
    path = folder / "renamed"
    path.write_text(text)
    return path


def test_unknown_sensors_are_told_with_their_share(simulated_file: Path, tmp_path: Path) -> None:
    header = prepared(simulated_file, tmp_path).header
    raw = renamed(simulated_file, tmp_path, {"M001": "M051", "M009": "M059"})
    lines = raw.read_text().splitlines()
    share = sum("\tM051\t" in line or "\tM059\t" in line for line in lines) / len(lines)
    with pytest.warns(UserWarning, match="2 sensors that the run has not seen, such as M0") as told:
        windows = list(windows_of(raw, header))
    assert str(told[0].message).startswith(f"{share:.1%} of the events of {raw}")
    ids = header.vocabulary["sensor"]
    unknown = np.float32(ids["<UNK>"] / (max(ids.values()) + 1))
    for window in windows:
        assert (unknown in window.series[0]) == bool({"M051", "M059"} & set(window.sensors))
    assert any("sensor M051" in window.captions["long"][0] for window in windows)


def test_events_of_another_home_are_still_cut(simulated_file: Path, tmp_path: Path) -> None:
    header = prepared(simulated_file, tmp_path).header
    raw = renamed(simulated_file, tmp_path, {name: f"X{name}" for name in header.vocabulary["sensor"]})
    with pytest.warns(UserWarning, match=r"none of the 15 sensors of .* is one that the run has seen.*same home"):
        windows = list(windows_of(raw, header))
    assert len(windows) == len(list(windows_of(simulated_file, header)))


def in_rooms(raw: Path, path: Path, rooms: dict[str, str]) -> Path:
    """The events in the form with a column for the room."""
    lines = [line.split("\t") for line in raw.read_text().splitlines()]
    path.write_text("".join(f"{time} {name} {rooms[name]} {state} Sleep\n" for time, name, state, *_ in lines))
    return path


class TestRooms:
    ROOMS = {f"M{number:03d}": f"Room{number % 3}" for number in range(1, 13)} | dict.fromkeys(
        ("D001", "D002", "D003"), "Room0"
    )

    @pytest.fixture
    def header(self, simulated_file: Path, tmp_path: Path) -> Header:
        return prepared(in_rooms(simulated_file, tmp_path / "train", self.ROOMS), tmp_path).header

    def test_unknown_ones_are_told_with_their_share(self, simulated_file: Path, tmp_path: Path, header: Header) -> None:
        others = {"M001": "Attic", "M002": "Attic", "M003": "Cellar"}
        raw = in_rooms(simulated_file, tmp_path / "new", self.ROOMS | others)
        lines = raw.read_text().splitlines()
        share = sum(" Attic " in line or " Cellar " in line for line in lines) / len(lines)
        with pytest.warns(UserWarning, match="2 rooms that the run has not seen, such as Attic, Cellar") as told:
            windows = list(windows_of(raw, header))
        assert [str(each.message).split("(")[0] for each in told] == [f"{share:.1%} of the events of {raw} "]
        ids = header.vocabulary["room"]
        unknown = np.float32(ids["<UNK>"] / (max(ids.values()) + 1))
        for window in windows:
            assert (unknown in window.series[1]) == bool({"Attic", "Cellar"} & set(window.rooms))

    def test_of_another_home_with_sensors_of_the_same_names(
        self, simulated_file: Path, tmp_path: Path, header: Header
    ) -> None:
        raw = in_rooms(simulated_file, tmp_path / "new", dict.fromkeys(self.ROOMS, "Attic"))
        told = r"none of the 1 room of .*there: Attic; in the run: Room0, Room1, Room2.*Is it the same home"
        with pytest.warns(UserWarning, match=told) as warned:
            list(windows_of(raw, header))
        assert len(warned) == 1

    def test_of_a_home_of_other_sensors_tell_nothing_more(self, simulated_file: Path, header: Header) -> None:
        """Without the column all sensors are in the room "Home"; none of them is known either."""
        others = {"<PAD>": 0, "<UNK>": 1, "X1": 2}
        of_others = header.model_copy(update={"vocabulary": header.vocabulary | {"sensor": others}})
        with pytest.warns(UserWarning, match="none of the 15 sensors") as warned:
            list(windows_of(simulated_file, of_others))
        assert len(warned) == 1


def test_data_without_the_home_are_refused(simulated_file: Path, tmp_path: Path) -> None:
    """Folders that were prepared before it was kept: their new events would all be in one room."""
    header = prepared(simulated_file, tmp_path).header
    assert header.home is not None
    with pytest.raises(ValueError, match=r"prepared before the description of the home was kept.*train anew"):
        windows_of(simulated_file, header.model_copy(update={"home": None}))


def test_sensors_that_are_known_are_no_reason_to_warn(simulated_file: Path, tmp_path: Path) -> None:
    header = prepared(simulated_file, tmp_path).header
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(windows_of(simulated_file, header))


def test_a_header_that_does_not_say_how_windows_were_cut(simulated_file: Path) -> None:
    header = Header(
        variates=["sensor"], sequence_length=5, splits={}, labels=[], label_to_text={}, vocabulary={}, options={}
    )
    with pytest.raises(ValueError, match=r"do not say how their windows were cut.*windowed JSON"):
        windows_of(simulated_file, header)


def test_options_are_those_of_the_header(simulated_file: Path, tmp_path: Path) -> None:
    assert window_options(prepared(simulated_file, tmp_path, length=20, overlap=0.25).header).overlap == 0.25


def test_memory_does_not_grow_with_the_file(simulated_file: Path, tmp_path: Path) -> None:
    header = prepared(simulated_file, tmp_path).header

    def peak(days: int) -> int:
        raw = tmp_path / f"{days}"
        with raw.open("w") as file:
            for day in range(days):
                for second in range(500):
                    date = np.datetime64("2024-01-01") + np.timedelta64(day, "D")
                    file.write(f"{date} 12:{second // 60:02d}:{second % 60:02d} M001 ON\n")
        tracemalloc.start()
        assert sum(1 for _ in windows_of(raw, header)) == 19 * days
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(2)
    assert peak(15) < 1.3 * peak(4)
