import gzip
import lzma
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from train.smarthome.events import read_events

ANNOTATED = """\
2010-11-04\t00:03:50.209589\tM003\tON\tSleeping begin
2010-11-04 00:03:57.3   M003   OFF
2010-11-04 00:15:08 D001 OPEN Sleeping end
2010-11-04 00:15:09.1234567 T002 21.5
"""
LABELLED = """\
2011-06-15 01:03:39.14962 Bedroom Bedroom ON Sleep
2011-06-15 01:41:40.205759 Bathroom BathroomLight OFF Bed_Toilet_Transition
"""


def write(folder: Path, content: str | bytes, name: str = "data") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def micros(text: str) -> int:
    return int(np.datetime64(text, "us").astype(np.int64))


def labels_of(folder: Path, *annotations: str) -> list[str]:
    """The labels of events one second apart that carry the given annotations ("" for none)."""
    lines = [f"2020-01-01 00:00:{i:02d} M001 ON {text}\n" for i, text in enumerate(annotations)]
    return read_events(write(folder, "".join(lines))).label.tolist()


def test_annotated_form(tmp_path: Path) -> None:
    events = read_events(write(tmp_path, ANNOTATED))
    assert events.form == "annotated"
    assert events.sensor.tolist() == ["M003", "M003", "D001", "T002"]
    assert events.state.tolist() == ["ON", "OFF", "OPEN", "21.5"]
    assert events.location is None
    assert events.label.tolist() == ["Sleeping", "Sleeping", "Sleeping", ""]
    assert not events.malformed


def test_labelled_form(tmp_path: Path) -> None:
    events = read_events(write(tmp_path, LABELLED))
    assert events.form == "labelled"
    assert events.sensor.tolist() == ["Bedroom", "Bathroom"]
    assert events.location is not None
    assert events.location.tolist() == ["Bedroom", "BathroomLight"]
    assert events.label.tolist() == ["Sleep", "Bed_Toilet_Transition"]


def test_fractions_of_any_length(tmp_path: Path) -> None:
    timestamps = read_events(write(tmp_path, ANNOTATED)).timestamp.tolist()
    expected = ["00:03:50.209589", "00:03:57.300000", "00:15:08.000000", "00:15:09.123456"]
    assert timestamps == [micros(f"2010-11-04T{text}") for text in expected]


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress, bytes])
def test_compression_is_told_by_content(tmp_path: Path, compress: type[bytes]) -> None:
    assert len(read_events(write(tmp_path, compress(ANNOTATED.encode())))) == 4


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
def test_a_truncated_archive_is_an_error(tmp_path: Path, compress: type[bytes]) -> None:
    path = write(tmp_path, compress(ANNOTATED.encode() * 100)[:-20])
    with pytest.raises(ValueError, match="cannot be decompressed"):
        read_events(path)


def test_windows_line_ends_and_stray_bytes(tmp_path: Path) -> None:
    content = ANNOTATED.replace("\n", "\r\n").encode() + b"\xff\xfe\x00 nonsense\n"
    events = read_events(write(tmp_path, content))
    assert len(events) == 4
    assert [line.number for line in events.malformed] == [5]


class TestActivities:
    def test_the_innermost_open_activity_labels(self, tmp_path: Path) -> None:
        labels = labels_of(tmp_path, "A begin", "", "B begin", "", "B end", "", "A end", "")
        assert labels == ["A", "A", "B", "B", "B", "A", "A", ""]

    def test_crossing_activities_keep_their_own_last_line(self, tmp_path: Path) -> None:
        labels = labels_of(tmp_path, "A begin", "B begin", "", "A end", "", "B end")
        assert labels == ["A", "B", "B", "A", "B", "B"]

    def test_names_with_blanks_and_the_quoted_form(self, tmp_path: Path) -> None:
        labels = labels_of(tmp_path, "Bed to toilet begin", "Bed to toilet end", 'Cook="begin"', "", 'Cook="end"')
        assert labels == ["Bed to toilet", "Bed to toilet", "Cook", "Cook", "Cook"]

    def test_an_unclosed_activity_labels_its_first_line_alone(self, tmp_path: Path) -> None:
        with pytest.warns(UserWarning, match="1 activities are never closed.* 0 ends were never begun"):
            assert labels_of(tmp_path, "A begin", "", "B begin", "B end", "") == ["A", "", "B", "B", ""]

    def test_an_activity_begun_again_was_not_closed_before(self, tmp_path: Path) -> None:
        with pytest.warns(UserWarning, match="1 activities are never closed"):
            assert labels_of(tmp_path, "A begin", "", "A begin", "", "A end") == ["A", "", "A", "A", "A"]

    def test_an_end_without_begin_is_ignored(self, tmp_path: Path) -> None:
        with pytest.warns(UserWarning, match="1 ends were never begun"):
            assert labels_of(tmp_path, "", "A end", "") == ["", "", ""]


class TestMalformedLines:
    CONTENT = (
        "2020-01-01 00:00:00 M001 ON\n"
        "2020-13-01 00:00:01 M001 ON\n"  # no such month
        "2020-01-01 25:00:01 M001 ON\n"  # no such hour
        "\n"  # blank lines are nothing
        "2020-01-01 00:00:02 M001\n"  # no state
        "sensor failure\n"
        "2020-01-01 00:00:03 M001 OFF unfinished remark\n"
        "2020-01-01 00:00:04 M001 OFF"  # no line end
    )

    def test_they_are_skipped_and_listed(self, tmp_path: Path) -> None:
        events = read_events(write(tmp_path, self.CONTENT))
        assert len(events) == 2
        assert [line.number for line in events.malformed] == [2, 3, 5, 6, 7]

    def test_they_are_fatal_when_strict(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"5 malformed lines.*line 2 .*line 7 "):
            read_events(write(tmp_path, self.CONTENT), strict=True)

    def test_of_the_labelled_form(self, tmp_path: Path) -> None:
        short = "2011-06-15 02:00:00 Bedroom Bedroom\n"
        annotated = "2011-06-15 02:00:00 Bedroom ON Sleep begin\n"
        weekend = "2011-06-15 02:00:00 Bedroom Bedroom ON Weekend\n"
        events = read_events(write(tmp_path, LABELLED + short + annotated + weekend))
        assert [line.number for line in events.malformed] == [3, 4]
        assert events.label[-1] == "Weekend"


def test_out_of_order_is_sorted_with_a_warning_and_duplicates_stay(tmp_path: Path) -> None:
    lines = ["2020-01-01 00:00:05 C ON\n", "2020-01-01 00:00:01 A ON\n", "2020-01-01 00:00:01 A ON\n"]
    with pytest.warns(UserWarning, match="not in order of time"):
        events = read_events(write(tmp_path, "".join(lines)))
    assert events.sensor.tolist() == ["A", "A", "C"]
    assert (np.diff(events.timestamp) >= 0).all()


def test_activities_span_time_not_lines(tmp_path: Path) -> None:
    lines = [
        "2020-01-01 00:00:01 A ON Sleep begin\n",
        "2020-01-01 00:00:09 B ON\n",
        "2020-01-01 00:00:05 C ON Sleep end\n",
    ]
    with pytest.warns(UserWarning, match="not in order"):
        events = read_events(write(tmp_path, "".join(lines)))
    assert events.label.tolist() == ["Sleep", "Sleep", ""]


@pytest.mark.parametrize("content", ["", "no events here\n"])
def test_a_file_without_events_is_an_error(tmp_path: Path, content: str) -> None:
    with pytest.raises(ValueError, match="has no sensor event"):
        read_events(write(tmp_path, content))


@pytest.mark.parametrize("strict", [False, True])
def test_a_file_of_another_form_is_told_both_forms(tmp_path: Path, strict: bool) -> None:
    path = write(tmp_path, "2020-01-01 00:00:00 M001 ON Motion\n2020-01-01 00:00:01 M001 OFF Motion\n")
    with pytest.raises(ValueError, match=r"all 2 lines are malformed") as failure:
        read_events(path, strict)
    assert "`date time sensor state [activity begin|end]`" in str(failure.value)
    assert "`date time sensor location state label`" in str(failure.value)


def test_an_absent_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="There is no event file"):
        read_events(tmp_path / "absent")


def test_real_events(casas_file: Path) -> None:
    begin = time.perf_counter()
    events = read_events(casas_file, strict=True)
    assert time.perf_counter() - begin < 10  # half a second on an idle core
    assert len(events) == 61_578
    assert events.form == "labelled"
    assert len(np.unique(events.day)) == 30
    assert len(np.unique(events.label)) == 30
    assert "" not in events.label
    first = datetime(2011, 6, 15, 1, 3, 39, 149620)
    assert events.timestamp[0] == micros(first.isoformat())
