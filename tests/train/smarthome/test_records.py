import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import grain
import numpy as np
import pytest

from train.smarthome.dataset import Header, Window
from train.smarthome.records import check_destination, open_split, write_prepared

HEADER = Header(
    variates=["a", "b"],
    sequence_length=3,
    splits={},
    labels=["Sleep"],
    label_to_text={"Sleep": ["sleeping"]},
    vocabulary={"sensor": {"<PAD>": 0, "<UNK>": 1}, "room": {"<PAD>": 0, "<UNK>": 1}},
)


def window(number: int) -> Window:
    series = np.full((2, 3), number, dtype=np.float32)
    series[:, 0] = np.nan
    return Window(
        window_id=f"w{number}",
        series=series,
        captions={"long": [f"long {number}", "größer"], "short": []},
        label="Sleep" if number % 2 else "",
        start="2020-01-01T00:00:00",
        end="2020-01-01T00:01:00",
        rooms=["Kitchen"],
        sensors=["M001", "M002"],
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_prepared(tmp_path / "data", {"train": [window(n) for n in range(5)], "validation": [window(9)]}, HEADER)
    return tmp_path / "data"


def test_what_is_written_is_read(folder: Path) -> None:
    split = open_split(folder, "train")
    assert len(split) == 5
    for number in range(5):
        expected, actual = window(number), split[number]
        np.testing.assert_array_equal(actual.series, expected.series)
        assert actual.series.dtype == np.float32
        assert {**vars(actual), "series": None} == {**vars(expected), "series": None}
    assert open_split(folder, "validation")[0].window_id == "w9"


def test_the_whole_split_at_once(folder: Path) -> None:
    split = open_split(folder, "train")
    assert split.series().shape == (5, 2, 3)
    assert split.series()[3, 0, 1] == 3
    assert split.labels() == ["", "Sleep", "", "Sleep", ""]
    assert split.captions(["long"], maximum=1) == [[f"long {number}"] for number in range(5)]


def test_the_header_describes_the_files(folder: Path) -> None:
    header = open_split(folder, "train").header
    assert header.model_copy(update={"splits": {}}) == HEADER
    assert header.splits["train"].count == 5
    assert header.splits["train"].files == ["train.array_record"]
    on_disk = json.loads((folder / "header.json").read_text())
    assert on_disk["format"] == "chronos_jax.smarthome"
    assert on_disk["version"] == 1


def test_grain_shuffles_batches_and_reads_it(folder: Path) -> None:
    split = open_split(folder, "train")
    dataset = grain.MapDataset.source(split).shuffle(seed=0).map(lambda each: each.series).batch(2)
    assert [batch.shape for batch in dataset] == [(2, 2, 3), (2, 2, 3), (1, 2, 3)]


def test_worker_processes_can_have_it(folder: Path) -> None:
    copy = pickle.loads(pickle.dumps(open_split(folder, "train")))
    assert copy[2].window_id == "w2"


def test_positions(folder: Path) -> None:
    split = open_split(folder, "train")
    assert split[-1].window_id == "w4"
    for position in (5, -6):
        with pytest.raises(IndexError, match="the split has 5"):
            split[position]


def test_the_fingerprint_is_that_of_the_data(tmp_path: Path, folder: Path) -> None:
    same = {"train": [window(n) for n in range(5)], "validation": [window(8)]}
    write_prepared(tmp_path / "other", same, HEADER)
    fingerprints = {open_split(path, "train").fingerprint for path in (folder, tmp_path / "other")}
    assert fingerprints == {open_split(folder, "train").fingerprint}
    assert open_split(folder, "validation").fingerprint != open_split(tmp_path / "other", "validation").fingerprint


class TestDestination:
    def test_a_prepared_folder_is_replaced_only_if_asked(self, folder: Path) -> None:
        with pytest.raises(FileExistsError, match="replace it \\(--overwrite\\)"):
            write_prepared(folder, {"train": [window(7)]}, HEADER)
        assert len(open_split(folder, "train")) == 5
        write_prepared(folder, {"train": [window(7)]}, HEADER, overwrite=True)
        assert len(open_split(folder, "train")) == 1
        assert [path.name for path in folder.parent.iterdir()] == ["data"]

    def test_what_is_no_prepared_folder_is_never_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("mine")
        for path in (tmp_path, tmp_path / "notes.txt"):
            with pytest.raises(FileExistsError, match="no prepared folder"):
                check_destination(path, overwrite=True)

    def test_an_empty_folder_and_missing_parents_are_fine(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        write_prepared(tmp_path / "empty", {"train": [window(1)]}, HEADER)
        write_prepared(tmp_path / "deep" / "er", {"train": [window(1)]}, HEADER)
        assert len(open_split(tmp_path / "deep" / "er", "train")) == 1

    def test_a_failure_leaves_what_was_there(self, folder: Path) -> None:
        def failing() -> Iterator[Window]:
            yield window(1)
            raise RuntimeError("power cut")

        with pytest.raises(RuntimeError, match="power cut"):
            write_prepared(folder, {"train": failing()}, HEADER, overwrite=True)
        assert len(open_split(folder, "train")) == 5
        assert [path.name for path in folder.parent.iterdir()] == ["data"]


class TestDamage:
    def test_changed_bytes(self, folder: Path) -> None:
        file = folder / "train.array_record"
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(bytes(content))
        with pytest.raises(ValueError, match="are damaged"):
            open_split(folder, "train")
        assert len(open_split(folder, "validation")) == 1

    def test_an_absent_file(self, folder: Path) -> None:
        (folder / "train.array_record").unlink()
        with pytest.raises(FileNotFoundError, match="which its header names"):
            open_split(folder, "train")

    @pytest.mark.parametrize("content", ["{}", "[", '{"format": "other"}'])
    def test_the_header(self, folder: Path, content: str) -> None:
        (folder / "header.json").write_text(content)
        with pytest.raises(ValueError, match="damaged or of another version"):
            open_split(folder, "train")


def test_what_is_asked_for_has_to_fit(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match="There is no data at"):
        open_split(tmp_path / "absent", "train")
    with pytest.raises(FileNotFoundError, match=r"has no header.json"):
        open_split(tmp_path, "train")
    with pytest.raises(ValueError, match="windows of 3 events, not 50"):
        open_split(folder, "train", sequence_length=50)
    with pytest.raises(ValueError, match="leave out vocab_path"):
        open_split(folder, "train", vocab_path=tmp_path / "vocab.json")
    write_prepared(folder, {"train": [window(1)]}, HEADER, overwrite=True)
    with pytest.raises(ValueError, match="no split 'validation'; it has \\['train'\\]"):
        open_split(folder, "validation")
