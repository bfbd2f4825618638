from pathlib import Path

import pytest

from benchmarks.side_by_side.results import read_results, results_file, save_case


def test_cases_are_saved_one_at_a_time_in_the_order_of_the_table(tmp_path: Path) -> None:
    path = results_file(tmp_path / "new", "chronos-2-small", "float32", "cpu")
    machine = {"machine": {"processor": "a", "memory_gb_per_second": 6.0}}
    save_case(path, "multivariate", {"seconds": 1, **machine})
    save_case(path, "embed-64", {"seconds": 2, **machine})
    save_case(path, "multivariate", {"seconds": 3, "machine": machine["machine"] | {"memory_gb_per_second": 7.0}})
    assert read_results(path) == {
        "size": "chronos-2-small",
        "dtype": "float32",
        "device": "cpu",
        "cases": {
            "embed-64": {"seconds": 2, **machine},
            "multivariate": {"seconds": 3, "machine": {"processor": "a", "memory_gb_per_second": 7.0}},
        },
    }
    assert list(read_results(path)["cases"]) == ["embed-64", "multivariate"]
    assert [file.name for file in path.parent.iterdir()] == ["side_by_side_chronos-2-small_float32_cpu.json"]


def test_results_of_two_machines_do_not_mix(tmp_path: Path) -> None:
    path = results_file(tmp_path, "tiny", "float32", "cpu")
    save_case(path, "embed-64", {"machine": {"processor": "a"}})
    with pytest.raises(ValueError, match="has results of another machine"):
        save_case(path, "multivariate", {"machine": {"processor": "b"}})
    save_case(path, "embed-64", {"machine": {"processor": "b"}})
    assert list(read_results(path)["cases"]) == ["embed-64"]


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_damaged_file_is_named_and_left_alone(tmp_path: Path, text: str) -> None:
    path = results_file(tmp_path, "tiny", "float32", "cpu")
    path.write_text(text)
    with pytest.raises(ValueError, match=f"{path.name} is no file of results"):
        save_case(path, "embed-64", {})
    assert path.read_text() == text
