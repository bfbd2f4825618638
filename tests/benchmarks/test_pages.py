from pathlib import Path

import pytest

from benchmarks.pages import write_between

PLACE = "<!-- speed: written by a command -->\n{}<!-- /speed -->"


def test_a_table_takes_the_place_of_the_last_one(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n\n" + PLACE.format("") + "\n\nafter\n")
    for table in ("| a |\n", "| b |\n"):
        write_between(page, "speed", "a command", table)
    assert page.read_text() == "before\n\n" + PLACE.format("\n| b |\n\n") + "\n\nafter\n"
    assert [path.name for path in tmp_path.iterdir()] == ["page.md"]


@pytest.mark.parametrize(
    "text", ["", PLACE.format("")[:-5], PLACE.format("") * 2, PLACE.partition("{")[0] + PLACE, "<!-- /speed -->"]
)
def test_a_page_without_one_place_is_refused_and_left_alone(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(ValueError, match="must hold, once, the lines <!-- speed: written by a command --> and"):
        write_between(page, "speed", "a command", "| a |")
    assert page.read_text() == text


def test_a_page_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no place for the table"):
        write_between(tmp_path / "page.md", "speed", "a command", "| a |")
