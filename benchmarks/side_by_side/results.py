"""Saved results: one JSON file for each size, type and device, whose cases can be measured one at a time."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.side_by_side.cases import CASES
from chronos_jax.replacing import replacing

FOLDER = Path(__file__).parents[1] / "results"
PREFIX = "side_by_side"
VARYING = {"memory_gb_per_second": None}  # measured anew with each command


def results_file(folder: Path, size: str, dtype: str, device: str) -> Path:
    """Where results of such a setting are."""
    return folder / f"{PREFIX}_{size}_{dtype}_{device}.json"


def read_results(path: Path) -> dict[str, Any]:
    """Results of a file: {"size", "dtype", "device", "cases": {id: result}}; without cases where it is absent.

    Raises:
        ValueError: It is no such file.
    """
    if not path.exists():
        size, dtype, device = path.stem.removeprefix(f"{PREFIX}_").split("_")
        return {"size": size, "dtype": dtype, "device": device, "cases": {}}
    try:
        results = json.loads(path.read_text())
        return {key: results[key] for key in ("size", "dtype", "device", "cases")}
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{path} is no file of results ({error}): delete it, or put it back") from error


def check_machine(path: Path, case: str, machine: Mapping[str, Any]) -> None:
    """Raises ValueError where other cases in the file were measured on another machine."""
    others = [of["machine"] for name, of in read_results(path)["cases"].items() if name != case]
    if different := [of for of in others if {**of, **VARYING} != {**machine, **VARYING}]:
        raise ValueError(
            f"{path} has results of another machine, {different[0]}: name a folder of your own, --results FOLDER"
        )


def save_case(path: Path, case: str, result: Mapping[str, Any]) -> None:
    """Puts the result of a case into the file, in place of an earlier one; all others stay as they are.

    Raises:
        ValueError: These are of another machine.
    """
    results = read_results(path)
    check_machine(path, case, result["machine"])
    cases = results["cases"] | {case: result}
    results["cases"] = {name: cases[name] for name in CASES if name in cases}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as beside:
        beside.write_text(json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
