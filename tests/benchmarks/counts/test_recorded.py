"""What counts as worse, as better, and as a matter of the compiler."""

from pathlib import Path

import pytest

from benchmarks.counts.recorded import GATING, Counts, compare, markdown, read, table, write

RECORDED = Counts({"calls": 3, "padding": 1.25}, {"bytes": 1000.0}, {"tpu bytes": 500.0}, "1.0")


def verdicts(found: Counts, recorded: Counts = RECORDED) -> dict[str, str]:
    return {row.name: row.verdict for row in compare(recorded, found)}


def test_what_is_the_same_is_said_to_be() -> None:
    assert verdicts(RECORDED) == dict.fromkeys(["calls", "padding", "bytes", "tpu bytes"], "same")


@pytest.mark.parametrize(("number", "verdict"), [(4, "worse"), (2, "better")])
def test_less_is_better(number: int, verdict: str) -> None:
    assert verdicts(RECORDED._replace(plain={"calls": number, "padding": 1.25}))["calls"] == verdict


def test_from_none_to_one_is_worse() -> None:
    recorded = RECORDED._replace(plain={"calls": 0})
    assert verdicts(RECORDED._replace(plain={"calls": 1}), recorded)["calls"] == "worse"


@pytest.mark.parametrize(
    ("number", "verdict"), [(1004.0, "same"), (996.0, "same"), (1006.0, "worse"), (994.0, "better")]
)
def test_half_a_percent_is_left_to_the_compiler(number: float, verdict: str) -> None:
    assert verdicts(RECORDED._replace(compiled={"bytes": number}))["bytes"] == verdict


def test_what_the_code_alone_decides_has_no_tolerance() -> None:
    assert verdicts(RECORDED._replace(plain={"calls": 3, "padding": 1.251}))["padding"] == "worse"


def test_another_compiler_is_told_of_and_not_judged() -> None:
    found = Counts({"calls": 4, "padding": 1.25}, {"bytes": 2000.0}, {"tpu bytes": 500.0}, "2.0")
    assert verdicts(found) == {
        "calls": "worse",
        "padding": "same",
        "bytes": "other compiler",
        "tpu bytes": "same",
    }


def test_numbers_that_only_one_side_has_are_named() -> None:
    found = RECORDED._replace(plain={"calls": 3, "new": 1})
    assert verdicts(found) == {
        "calls": "same",
        "padding": "not counted",
        "new": "not recorded",
        "bytes": "same",
        "tpu bytes": "same",
    }


def test_numbers_for_tpus_wait_until_they_are_asked_for() -> None:
    assert "tpu bytes" not in verdicts(RECORDED._replace(tpu=None))
    assert verdicts(RECORDED, RECORDED._replace(tpu=None))["tpu bytes"] == "not recorded"


def test_the_table_stands_in_columns() -> None:
    lines = table(compare(RECORDED, RECORDED._replace(plain={"calls": 12, "padding": 1.25}, tpu=None))).splitlines()
    assert lines == [
        "         recorded    now",
        "calls           3     12  worse",
        "padding     1.250  1.250  same",
        "bytes       1,000  1,000  same",
    ]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "results" / "counts.json"
    write(path, RECORDED)
    assert read(path) == RECORDED
    assert [file.name for file in path.parent.iterdir()] == ["counts.json"]


@pytest.mark.parametrize(("jax", "kept"), [("1.0", RECORDED.tpu), ("2.0", None)])
def test_recorded_numbers_for_tpus_stay_unless_their_compiler_is_another(
    tmp_path: Path, jax: str, kept: dict[str, float] | None
) -> None:
    path = tmp_path / "counts.json"
    write(path, RECORDED)
    write(path, RECORDED._replace(plain={"calls": 2}, tpu=None, jax=jax))
    assert (read(path).plain, read(path).tpu) == ({"calls": 2}, kept)


def test_where_nothing_is_recorded_it_is_said_how_to(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="record what is now with --write"):
        read(tmp_path / "counts.json")


def test_operations_that_are_not_seen_are_no_improvement() -> None:
    name = "operations computed per operation needed: embed-1024"
    recorded, found = (Counts({}, {name: number}, None, "1") for number in (1.0, 0.5))
    (row,) = compare(recorded, found)
    assert row.verdict == "too little"
    assert row.verdict in GATING


@pytest.mark.parametrize("text", ["{", "[]", '{"plain": {}}'])
def test_a_damaged_record_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "counts.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"counts\.json is no record of counts"):
        read(path)


def test_the_page_has_a_row_for_each_case_in_their_order() -> None:
    padded, moved = "CPU, positions computed per position needed: ", "bytes moved per position needed: "
    counts = Counts(
        {padded + "ragged-2000": 1.25}, {moved + "long-history": 2e6, moved + "embed-1024": 1e6}, None, "1.0"
    )
    assert [line.split(" | ")[1:] for line in markdown(counts).splitlines()[2:5]] == [
        ["", "1.000", "", " |"],
        ["", "", "1.250", " |"],
        ["", "2.000", "", " |"],
    ]
