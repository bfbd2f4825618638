import json
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from train.prepare import PrepareOptions, main, prepare
from train.smarthome.dataset import Window, WindowSplit
from train.smarthome.names import readable
from train.smarthome.records import open_split
from train.smarthome.simulator import simulate

# Three days, one window of four events each. The third day, which validates, has a sensor that the others lack.
RAW = "".join(
    f"2020-01-0{day} 12:00:0{second} {sensor} ON{annotation}\n"
    for day in (1, 2, 3)
    for second, sensor, annotation in (
        (0, "M001", " Cook begin"),
        (1, "M002", ""),
        (3, "M003" if day == 3 else "M001", " Cook end"),
        (7, "M002", ""),
    )
)


def prepared(folder: Path, **options: object) -> tuple[WindowSplit, WindowSplit]:
    path = prepare(PrepareOptions.model_validate({"output": folder / "out", **options}))
    return open_split(path, "train"), open_split(path, "validation")


def raw_file(folder: Path, content: str = RAW, name: str = "raw") -> Path:
    (folder / name).write_text(content)
    return folder / name


def windows_of(split: WindowSplit) -> list[Window]:
    return [split[index] for index in range(len(split))]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[WindowSplit, WindowSplit]:
    return prepared(tmp_path_factory.mktemp("simulated"), simulate=5)


@pytest.fixture(scope="module")
def real(casas_file: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[WindowSplit, WindowSplit]:
    return prepared(tmp_path_factory.mktemp("real"), input=casas_file, train_days=24, validation_days=6)


def test_a_small_file_in_full(tmp_path: Path) -> None:
    train, validation = prepared(tmp_path, input=raw_file(tmp_path), length=5, minimum_events=2)
    assert (len(train), len(validation)) == (2, 1)
    first, last = train[0], validation[0]
    assert first.label == "Cook"
    assert (first.start, first.end) == ("2020-01-01T12:00:00", "2020-01-01T12:00:07")
    assert first.sensors == ["M001", "M002"]
    expected = [
        [np.nan, 2 / 4, 3 / 4, 2 / 4, 3 / 4],
        [np.nan, 2 / 3, 2 / 3, 2 / 3, 2 / 3],
        [np.nan, 0.25, 0.75, 0.25, 0.75],
        [np.nan, 0.5, 0.5, 0.5, 0.5],
        [np.nan, 0.0, np.log1p(1), np.log1p(2), np.log1p(4)],
    ]
    np.testing.assert_allclose(first.series, expected, rtol=1e-6)
    np.testing.assert_allclose(last.series[0], [np.nan, 2 / 4, 3 / 4, 1 / 4, 3 / 4])  # M003 is unknown
    assert np.isnan(last.series[2:4, 3]).all()  # and has no place
    header = train.header
    assert header.vocabulary["sensor"] == {"<PAD>": 0, "<UNK>": 1, "M001": 2, "M002": 3}
    assert header.unknown_values == {"sensor": 1, "room": 0}
    assert header.events == {"train": 8, "validation": 4}
    assert header.labels == ["Cook"]


class TestSimulated:
    def test_training_comes_before_validation(self, simulated: tuple[WindowSplit, WindowSplit]) -> None:
        train, validation = simulated
        assert len(train) > 50
        assert len(validation) > 10
        assert max(window.end for window in windows_of(train)) < min(window.start for window in windows_of(validation))

    def test_no_window_spans_midnight(self, simulated: tuple[WindowSplit, WindowSplit]) -> None:
        for split in simulated:
            assert all(window.start[:10] == window.end[:10] for window in windows_of(split))

    def test_series_are_complete_and_in_range(self, simulated: tuple[WindowSplit, WindowSplit]) -> None:
        series_BxVxT = simulated[0].series()
        assert series_BxVxT.shape[1:] == (5, 50)
        assert not np.isnan(series_BxVxT[:, :, -1]).any()
        missing = np.isnan(series_BxVxT)
        assert (np.diff(missing.astype(int), axis=2) <= 0).all()  # padding is on the left alone
        assert (missing == missing[:, :1]).all()
        assert np.nanmax(series_BxVxT[:, :4]) <= 1
        assert np.nanmin(series_BxVxT) >= 0

    def test_it_is_the_same_every_time(self, tmp_path: Path, simulated: tuple[WindowSplit, WindowSplit]) -> None:
        again = prepared(tmp_path, simulate=5)
        assert [split.fingerprint for split in again] == [split.fingerprint for split in simulated]
        assert again[0].header == simulated[0].header

    def test_captions_never_name_the_label(self, simulated: tuple[WindowSplit, WindowSplit]) -> None:
        assert not leaks(*simulated)


def leaks(*splits: WindowSplit) -> list[str]:
    """Captions that contain any label, as a name or in words, or its description."""
    header = splits[0].header
    names = [name.lower() for label in header.labels for name in (label, readable(label), *header.label_to_text[label])]
    pattern = re.compile("|".join(rf"\b{re.escape(name)}\b" for name in names))
    texts = [text for split in splits for texts in split.captions() for text in texts]
    assert texts
    return [text for text in texts if pattern.search(text.lower())]


class TestNamesThatContainALabel:
    ROWS = (("M001", "Toilet", "Toilet"), ("ToiletFlush", "Bathroom", "Toilet"), ("M002", "Kitchen", "Cook"))

    @pytest.fixture
    def splits(self, tmp_path: Path) -> tuple[WindowSplit, WindowSplit]:
        # Of each day's two windows, the first is labelled Toilet and the second Cook; both have events in the toilet.
        lines = [
            f"2020-01-0{day} {hour}:00:0{second} {sensor} {location} ON {label}\n"
            for day in (1, 2, 3)
            for hour, rows in ((12, (0, 0, 1, 2)), (18, (0, 2, 2, 2)))
            for second, (sensor, location, label) in enumerate(self.ROWS[row] for row in rows)
        ]
        return prepared(tmp_path, input=raw_file(tmp_path, "".join(lines)), length=4, overlap=0)

    def test_captions_never_name_the_label(self, splits: tuple[WindowSplit, WindowSplit]) -> None:
        assert not leaks(*splits)

    def test_they_are_neutral_whatever_the_label_of_the_window(self, splits: tuple[WindowSplit, WindowSplit]) -> None:
        for split in splits:
            assert split.labels() == ["Toilet", "Cook"] * (len(split) // 2)
            assert all("room A" in text for texts in split.captions(["long"]) for text in texts)

    def test_the_changed_captions_are_counted(self, splits: tuple[WindowSplit, WindowSplit]) -> None:
        texts = [text for split in splits for texts in split.captions() for text in texts]
        changed = [text for text in texts if re.search(r"\b(room|sensor) A\b", text, re.IGNORECASE)]
        assert 0 < len(changed) < len(texts)  # a short caption that only tells of other sensors stays
        assert splits[0].header.neutral_captions == len(changed)


class TestRealData:
    def test_days(self, real: tuple[WindowSplit, WindowSplit]) -> None:
        days = [{window.start[:10] for window in windows_of(split)} for split in real]
        assert [len(each) for each in days] == [24, 6]
        assert max(days[0]) < min(days[1])
        assert real[0].header.events == {"train": 48_148, "validation": 13_430}

    def test_every_window_has_a_label_and_captions(self, real: tuple[WindowSplit, WindowSplit]) -> None:
        for split in real:
            assert "" not in split.labels()
            assert all(len(texts) == 4 for texts in split.captions())
            assert set(split.labels()) <= set(split.header.labels) == set(split.header.label_to_text)

    def test_captions_never_name_the_label(self, real: tuple[WindowSplit, WindowSplit]) -> None:
        assert not leaks(*real)

    def test_no_name_had_to_become_neutral(self, real: tuple[WindowSplit, WindowSplit]) -> None:
        assert real[0].header.neutral_captions == 0

    def test_the_vocabulary(self, real: tuple[WindowSplit, WindowSplit]) -> None:
        vocabulary = real[0].header.vocabulary
        assert len(vocabulary["sensor"]) == 7 + 2
        assert len(vocabulary["room"]) == 11 + 2


class TestOptions:
    def test_windows_of_an_activity_have_its_label_alone(self, tmp_path: Path) -> None:
        train, _ = prepared(tmp_path, input=raw_file(tmp_path), segment_by_activity=True, minimum_events=2)
        assert [(window.end[-1], window.label) for window in windows_of(train)] == [("3", "Cook"), ("3", "Cook")]

    def test_fixed_duration(self, tmp_path: Path) -> None:
        train, _ = prepared(tmp_path, simulate=2, window_kind="duration", duration=30.0, overlap=0.0, length=20)
        assert train.header.sequence_length == 20
        spans = [np.datetime64(w.end, "us") - np.datetime64(w.start, "us") for w in windows_of(train)]
        assert max(spans) < np.timedelta64(30, "s")

    def test_days_that_are_given(self, tmp_path: Path) -> None:
        options = {"split": "given", "given_train": ["2020-01-03"], "given_validation": ["2020-01-01"]}
        train, validation = prepared(tmp_path, input=raw_file(tmp_path), minimum_events=2, **options)
        assert [split[0].start[:10] for split in (train, validation)] == ["2020-01-03", "2020-01-01"]
        assert (len(train), len(validation)) == (1, 1)

    def test_files_that_are_given(self, tmp_path: Path) -> None:
        second = raw_file(tmp_path, RAW.replace("2020-", "2019-"), "second")
        options = {"split": "given", "validation_input": second, "minimum_events": 2}
        train, validation = prepared(tmp_path, input=raw_file(tmp_path), **options)
        assert (len(train), len(validation)) == (3, 3)
        assert validation[0].start.startswith("2019")
        assert [source.name for source in train.header.sources] == ["raw", "second"]

    def test_a_home_description(self, tmp_path: Path) -> None:
        home = {
            "sensor_location": {"M001": "Kitchen", "M002": "Pantry", "M003": "Kitchen"},
            "sensor_coordinates": {"M001": [0, 0], "M002": [4, 2], "M003": [2, 2]},
            "label_to_text": {"Cook": "preparing food"},
        }
        (tmp_path / "home.json").write_text(json.dumps(home))
        train, validation = prepared(
            tmp_path, input=raw_file(tmp_path), home=tmp_path / "home.json", length=4, minimum_events=2
        )
        assert train[0].rooms == ["Kitchen", "Pantry"]
        np.testing.assert_array_equal(validation[0].series[2], [0.0, 1.0, 0.5, 1.0])  # described, though never trained
        assert train.header.label_to_text == {"Cook": ["preparing food"]}
        assert train.header.coordinate_bounds == {"x": (0, 4), "y": (0, 2)}

    def test_malformed_lines_are_in_the_header(self, tmp_path: Path) -> None:
        path = raw_file(tmp_path, "oops\n" + RAW + "oops again\n")
        train, _ = prepared(tmp_path, input=path, minimum_events=2)
        assert [source.malformed_lines for source in train.header.sources] == [[1, 14]]

    def test_malformed_lines_are_fatal_when_strict(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="line 1 "):
            prepared(tmp_path, input=raw_file(tmp_path, "oops\n" + RAW), strict=True)
        assert not (tmp_path / "out").exists()

    def test_a_split_without_windows_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="train split has 8 events but not one window of at least 5"):
            prepared(tmp_path, input=raw_file(tmp_path))

    @pytest.mark.parametrize(
        "options",
        [{}, {"input": "raw", "simulate": 3}, {"input": "raw", "validation_input": "other"}, {"simulate": 1}],
    )
    def test_contradictory_options(self, options: dict[str, object]) -> None:
        with pytest.raises(ValidationError):
            PrepareOptions.model_validate({"output": "out", **options})


class TestCommand:
    def run(self, monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> None:
        monkeypatch.setattr(sys, "argv", ["prepare", *map(str, arguments)])
        main()

    def test_options_with_underscores_and_dashes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        simulate(tmp_path / "raw", days=3, seed=1)
        arguments = ["--input", tmp_path / "raw", "--train_days", 2, "--validation-days", 1, "--length", 20]
        self.run(monkeypatch, *map(str, arguments), "--output", tmp_path / "out")
        assert open_split(tmp_path / "out", "train").header.sequence_length == 20
        summary = capsys.readouterr().out
        assert re.search(r"windows.*\d+ train \+ \d+ validation", summary)
        assert re.search(r"malformed lines in raw .*0", summary)
        assert re.search(r"neutral captions .*0", summary)

    def test_an_error_is_one_line_and_a_failure(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(SystemExit, match="error: There is no event file") as failure:
            self.run(monkeypatch, "--input", tmp_path / "absent", "--output", tmp_path / "out")
        assert failure.value.code not in (0, None)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--simulate", "3", "--overlap", "1"], "overlap: Input should be less than 1, got 1.0"),
            (["--simulate", "1"], "simulate: Input should be greater than or equal to 2, got 1"),
            ([], "give either --input FILE or --simulate DAYS, not both and not neither"),
            (["--simulate", "3", "--input", "raw"], "give either --input FILE or --simulate DAYS"),
            (["--simulate", "3", "--overlap", "1", "--length", "0"], "overlap: .*; length: |length: .*; overlap: "),
        ],
    )
    def test_wrong_options_are_said_in_one_line(
        self,
        arguments: list[str],
        message: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        with pytest.raises(SystemExit, match=f"^error: .*{message}") as failure:
            self.run(monkeypatch, *arguments, "--output", tmp_path / "out")
        assert "\n" not in str(failure.value)
        assert capsys.readouterr().err == ""

    def test_what_exists_is_refused_before_anything_is_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        prepare(PrepareOptions(simulate=2, output=tmp_path / "out"))
        with pytest.raises(SystemExit, match="is a prepared folder already"):
            self.run(monkeypatch, "--input", tmp_path / "absent", "--output", tmp_path / "out")
        self.run(monkeypatch, "--simulate", "2", "--seed", "1", "--overwrite", "--output", tmp_path / "out")
        assert open_split(tmp_path / "out", "train").header.options["seed"] == 1

    def test_warnings_are_said_in_one_line(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        lines = RAW.splitlines(keepends=True)
        path = raw_file(tmp_path, "".join([lines[1], lines[0], *lines[2:]]))
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            self.run(monkeypatch, "--input", path, "--minimum_events", "2", "--output", tmp_path / "out")
        assert re.search(r"^warning: .*not in order of time", capsys.readouterr().err, re.MULTILINE)
