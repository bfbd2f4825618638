import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from train.smarthome.dataset import WindowSplit
from train.smarthome.records import open_split

VOCABULARY = {
    "sensor_id": {"M001": 0, "M002": 1, "<UNK>": 2, "<PAD>": 3},
    "room_id": {"kitchen": 0, "bath": 1, "<UNK>": 2, "<PAD>": 3},
    "tod_bucket": {"hour_0": 0},
}
EVENT = {"sensor_id": "M001", "room_id": "kitchen", "x": 10.0, "y": 2, "delta_t_since_prev": 1.0}
SAMPLE: dict[str, Any] = {
    "events": [EVENT, {**EVENT, "sensor_id": "M002", "room_id": "bath", "x": 30.0, "y": 4, "delta_t_since_prev": 3.0}],
    "captions": ["in the bath"],
    "first_activity": "Cook_Dinner",
}


def opened(folder: Path, content: Any, vocabulary: Any = None, **options: Any) -> WindowSplit:
    (folder / "data.json").write_text(json.dumps(content))
    (folder / "vocab.json").write_text(json.dumps(VOCABULARY if vocabulary is None else vocabulary))
    return open_split(folder / "data.json", "train", folder / "vocab.json", **options)


def test_a_list_and_an_object_of_samples(tmp_path: Path) -> None:
    assert len(opened(tmp_path, [SAMPLE, SAMPLE])) == 2
    assert len(opened(tmp_path, {"samples": [SAMPLE]})) == 1


def test_the_series_is_that_of_prepared_data(tmp_path: Path) -> None:
    window = opened(tmp_path, [SAMPLE], sequence_length=3)[0]
    expected = [
        [np.nan, 0 / 4, 1 / 4],
        [np.nan, 0 / 4, 1 / 4],
        [np.nan, 0.0, 1.0],
        [np.nan, 0.0, 1.0],
        [np.nan, np.log1p(1.0), np.log1p(3.0)],
    ]
    np.testing.assert_allclose(window.series, expected, rtol=1e-6)
    assert window.series.dtype == np.float32
    assert window.label == "Cook_Dinner"
    assert window.rooms == ["bath", "kitchen"]
    assert window.sensors == ["M001", "M002"]


def test_the_header_describes_the_split(tmp_path: Path) -> None:
    split = opened(tmp_path, [SAMPLE, {**SAMPLE, "first_activity": None}])
    assert split.header.sequence_length == 2
    assert split.header.labels == ["Cook_Dinner"]
    assert split.header.vocabulary == {field: VOCABULARY[f"{field}_id"] for field in ("sensor", "room")}
    assert split.header.splits["train"].count == 2
    assert split.labels() == ["Cook_Dinner", ""]


def test_the_other_names_of_the_fields(tmp_path: Path) -> None:
    sample = {
        "sample_id": "s7",
        "sensor_sequence": [{"sensor": "M002", "room": "bath", "state": "ON"}],
        "metadata": {"ground_truth_labels": {"primary_l1": "Sleep"}},
        "first_activity": "Other",
    }
    vocabulary = {"sensor": VOCABULARY["sensor_id"], "room": VOCABULARY["room_id"]}
    window = opened(tmp_path, [sample], vocabulary)[0]
    assert window.window_id == "s7"
    assert window.label == "Sleep"
    np.testing.assert_array_equal(window.series[:, 0], np.float32([0.25, 0.25, np.nan, np.nan, 0.0]))


class TestCaptions:
    LONG = "one two three four five six seven eight nine ten"

    def test_by_type(self, tmp_path: Path) -> None:
        sample = {**SAMPLE, "long_captions": [self.LONG, "b"], "short_captions": ["c"]}
        assert opened(tmp_path, [sample])[0].captions == {"long": [self.LONG, "b"], "short": ["c"]}

    def test_of_no_type_are_told_by_length(self, tmp_path: Path) -> None:
        split = opened(tmp_path, [{**SAMPLE, "captions": [self.LONG, "short one", ""]}])
        assert split[0].captions == {"long": [self.LONG], "short": ["short one"]}
        assert split.captions() == [[self.LONG, "short one"]]
        assert split.captions(["short", "long"], maximum=1) == [["short one"]]

    def test_an_unknown_type_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="no captions of type \\['medium'\\]"):
            opened(tmp_path, [SAMPLE]).captions(["medium"])


class TestTime:
    def elapsed(self, folder: Path, *timestamps: Any) -> list[float]:
        events = [{"sensor": "M001", "room": "bath", "timestamp": timestamp} for timestamp in timestamps]
        return np.expm1(opened(folder, [{"events": events}])[0].series[4]).round(3).tolist()

    def test_iso(self, tmp_path: Path) -> None:
        assert self.elapsed(tmp_path, "2020-01-01 00:00:00", "2020-01-01T00:00:02.5") == [0.0, 2.5]

    def test_seconds(self, tmp_path: Path) -> None:
        assert self.elapsed(tmp_path, 1_577_836_800, 1_577_836_803) == [0.0, 3.0]

    def test_milliseconds_since_1970(self, tmp_path: Path) -> None:
        assert self.elapsed(tmp_path, 1_577_836_800_000, 1_577_836_803_000) == [0.0, 3.0]

    def test_time_does_not_run_backwards(self, tmp_path: Path) -> None:
        assert self.elapsed(tmp_path, 5.0, 3.0) == [0.0, 0.0]

    def test_unknown_is_missing(self, tmp_path: Path) -> None:
        np.testing.assert_array_equal(self.elapsed(tmp_path, None, None), [0.0, np.nan])

    def test_start_and_end(self, tmp_path: Path) -> None:
        events = [{**EVENT, "timestamp": f"2020-01-01T00:00:0{second}"} for second in (1, 5)]
        window = opened(tmp_path, [{"events": events}])[0]
        assert (window.start, window.end) == ("2020-01-01T00:00:01", "2020-01-01T00:00:05")


class TestCoordinates:
    def test_in_the_unit_square_they_stay(self, tmp_path: Path) -> None:
        split = opened(tmp_path, [{"events": [{**EVENT, "x": 0.2, "y": 0.9}, {**EVENT, "x": 0.4, "y": 0.9}]}])
        np.testing.assert_allclose(split[0].series[2:4], [[0.2, 0.4], [0.9, 0.9]], rtol=1e-6)
        assert split.header.coordinate_bounds == {}

    def test_validation_is_scaled_as_training(self, tmp_path: Path) -> None:
        train = opened(tmp_path, [SAMPLE])
        narrow = {**SAMPLE, "events": [{**EVENT, "x": 20.0, "y": 3}]}
        validation = opened(tmp_path, [narrow], like=train.header)
        np.testing.assert_allclose(validation[0].series[2:4, -1], [0.5, 0.5])
        assert validation.header.sequence_length == train.header.sequence_length


def test_of_too_many_events_the_latest_are_kept(tmp_path: Path) -> None:
    series = opened(tmp_path, [SAMPLE], sequence_length=1)[0].series
    assert series.shape == (5, 1)
    assert series[0, 0] == np.float32(1 / 4)


def test_values_outside_the_vocabulary_are_unknown_and_counted(tmp_path: Path) -> None:
    sample = {"events": [EVENT, {**EVENT, "sensor_id": "M999"}, {**EVENT, "room_id": None}]}
    split = opened(tmp_path, [sample])
    assert split[0].series[0].tolist() == [0, 2 / 4, 0]
    assert split.header.unknown_values == {"sensor": 1, "room": 1}


def test_a_vocabulary_without_unknown_gets_it_as_the_next_id(tmp_path: Path) -> None:
    vocabulary = {"sensor": {"M001": 0, "M002": 1}, "room": {"kitchen": 0, "bath": 1}}
    split = opened(tmp_path, [{"events": [{**EVENT, "sensor_id": "M999"}]}], vocabulary)
    assert split[0].series[0, 0] == np.float32(2 / 3)


def test_the_fingerprint_changes_with_data_vocabulary_and_length(tmp_path: Path) -> None:
    other = {**VOCABULARY, "room_id": {"bath": 0, "kitchen": 1, "<UNK>": 2}}
    fingerprints = [
        opened(tmp_path, [SAMPLE]).fingerprint,
        opened(tmp_path, [SAMPLE, SAMPLE]).fingerprint,
        opened(tmp_path, [SAMPLE], other).fingerprint,
        opened(tmp_path, [SAMPLE], sequence_length=9).fingerprint,
    ]
    assert len(set(fingerprints)) == 4
    assert opened(tmp_path, [SAMPLE]).fingerprint == fingerprints[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"windows": []}, "no windowed JSON"),
        ([], "has no samples"),
        ([SAMPLE, 3], "sample 1 is a JSON int"),
        ([{"captions": []}], "sample 0 needs a non-empty list of events"),
        ([{"events": []}], "sample 0 needs a non-empty list of events"),
        ([{"events": [EVENT, "M001"]}], "sample 0, 'events': event 1 is not an object"),
        ([{"events": [{"room": "bath"}]}], "sample 0, event 0 has neither 'sensor_id' nor 'sensor'"),
        ([{"events": [{"sensor": "M001"}]}], "sample 0, event 0 has neither 'room_id' nor 'room'"),
        ([{"events": [{**EVENT, "sensor_id": {}}]}], "event 0: 'sensor_id' is {}"),
        ([{"events": [{**EVENT, "x": "left"}]}], "event 0: 'x' is 'left'; expected a number"),
        ([{"events": [{**EVENT, "timestamp": "noon"}]}], "event 0: 'timestamp' is 'noon'"),
        ([{"events": [{**EVENT, "delta_t_since_prev": -1}]}], "'delta_t_since_prev' is -1.0; it cannot be negative"),
        ([{**SAMPLE, "captions": [1]}], "sample 0: 'captions' has to be a list of texts"),
        ([{**SAMPLE, "first_activity": 4}], "sample 0: 'first_activity' is 4"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        opened(tmp_path, content)


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        ([], "is a JSON list; expected"),
        ({"sensor": {"M001": 0}}, "neither 'room' nor 'room_id'"),
        ({"sensor": {"M001": "0"}, "room": {"bath": 0}}, "'sensor' has to map values to integer ids"),
        ({"sensor": {"M001": 0, "M002": 0}, "room": {"bath": 0}}, "'sensor' has negative or repeated ids"),
    ],
)
def test_a_wrong_vocabulary_is_named(tmp_path: Path, vocabulary: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        opened(tmp_path, [SAMPLE], vocabulary)


def test_absent_and_broken_files(tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text("[{")
    with pytest.raises(FileNotFoundError, match="no vocabulary"):
        open_split(tmp_path / "data.json", "train", tmp_path / "vocab.json")
    (tmp_path / "vocab.json").write_text(json.dumps(VOCABULARY))
    with pytest.raises(ValueError, match=r"windowed JSON file .*data.json is not JSON"):
        open_split(tmp_path / "data.json", "train", tmp_path / "vocab.json")
    with pytest.raises(ValueError, match="needs its vocabulary: give vocab_path"):
        open_split(tmp_path / "data.json", "train")
