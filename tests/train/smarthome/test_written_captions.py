import json
from pathlib import Path

import pytest

from train.prepare import PrepareOptions, main, prepare
from train.smarthome.records import open_split, read_header
from train.smarthome.written_captions import check_captions, read_captions


def write(folder: Path, *lines: object) -> Path:
    path = folder / "captions.jsonl"
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_lines_are_gathered_by_window_and_type(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        {"window_id": "train-000001", "text": " Someone is up. "},
        "",
        {"window_id": "train-000001", "text": "up", "type": "short", "model": "m"},
        {"window_id": "train-000000", "text": "Täglich 🛏️"},
        {"window_id": "train-000001", "text": "Someone is up."},
    )
    assert read_captions(path) == {
        "train-000001": {"long": ["Someone is up."], "short": ["up"]},
        "train-000000": {"long": ["Täglich 🛏️"]},
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1: not JSON. Expected"),
        ("[]", "line 1: Input should be an object"),
        ({"text": "a"}, "line 1: window_id: Field required"),
        ({"window_id": "a"}, "line 1: text: Field required"),
        ({"window_id": "a", "text": "  "}, "line 1: text: String should have at least 1 character"),
        ({"window_id": "a", "text": "b", "type": "tiny"}, "line 1: type: Input should be 'long' or 'short'"),
        ("", "has no caption"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, line: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_captions(write(tmp_path, line))


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    path = write(tmp_path, {"window_id": "a", "text": "b"})
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_captions(path) == {"a": {"long": ["b"]}}


def test_an_absent_file_is_said_to_be_absent(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no file of captions"):
        read_captions(tmp_path / "captions.jsonl")


def test_captions_of_unknown_windows_are_refused_with_their_number() -> None:
    captions = {"train-000009": {"long": ["a"]}, "b": {"long": ["a"]}}
    with pytest.raises(ValueError, match=r"windows that there are not: 2, such as b, train-000009; there are 2 from"):
        check_captions(Path("c.jsonl"), captions, ["train-000000", "train-000001"], [])


def test_captions_that_name_an_activity_are_counted() -> None:
    captions = {"a": {"long": ["Cooking dinner late.", "Someone moves."], "short": []}}
    with pytest.warns(UserWarning, match="1 of 2 captions name an activity, such as 'Cooking dinner late.'"):
        check_captions(Path("c.jsonl"), captions, ["a"], ["cooking dinner"])


def test_windows_are_listed_captioned_and_prepared_again(tmp_path: Path) -> None:
    listed = tmp_path / "windows.jsonl"
    options = {"simulate": 3, "output": tmp_path / "out", "overwrite": True}
    prepare(PrepareOptions.model_validate(options | {"list_windows": listed}))
    windows = [json.loads(line) for line in listed.read_text().splitlines()]
    assert {window["split"] for window in windows} == {"train", "validation"}
    assert not any("label" in window for window in windows)
    first = windows[0]
    before = open_split(tmp_path / "out", "train")
    assert (first["window_id"], first["rooms"]) == (before[0].window_id, before[0].rooms)

    path = write(tmp_path, {"window_id": first["window_id"], "text": "A quiet moment."})
    prepare(PrepareOptions.model_validate(options | {"captions": path}))
    split, header = open_split(tmp_path / "out", "train"), read_header(tmp_path / "out")
    assert split[0].captions == {"long": ["A quiet moment."], "short": before[0].captions["short"]}
    assert split[1].captions == before[1].captions
    assert split.fingerprint != before.fingerprint
    assert (header.captioned_windows, header.written_captions is not None) == (1, True)


def test_nothing_is_replaced_by_a_command_with_wrong_captions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, {"window_id": "elsewhere-1", "text": "A quiet moment."})
    arguments = ["--simulate", "3", "--output", str(tmp_path / "out"), "--captions", str(path)]
    monkeypatch.setattr("sys.argv", ["prepare", *arguments])
    with pytest.raises(SystemExit, match="windows that there are not: 1, such as elsewhere-1"):
        main()
    assert not (tmp_path / "out").exists()
