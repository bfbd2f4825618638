"""The command in a process of its own, with the TPU compiler and without a TPU, and the table that it writes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tpu import tpu_environment

from benchmarks import tpu_traffic
from benchmarks.tpu_traffic import table
from train.compilation.topology import ENVIRONMENT, REQUIRED

ROOT = Path(__file__).parents[2]
OTHER = {"size": "chronos-2"}


def case(plain: dict[str, int] | None, ours: dict[str, int] | None, horizon: int | None = None) -> dict[str, Any]:
    work = {"groups": 10, "variates": 5, "steps": 1000, "horizon": horizon}
    return {"work": work, "plain": plain, "ours": ours, "size": "tiny", "topology": "v5e:2x4", "jax": "1.0"}


def side(bytes_accessed: int) -> dict[str, int]:
    return {
        "bytes_accessed": bytes_accessed,
        "memory_traffic": 20_000_000,
        "temporaries": 3_000_000,
        "flops": 2 * 10**9,
    }


def test_the_table_tells_bytes_of_one_window_and_how_many_times_fewer() -> None:
    row, *below = table({"a": case(side(90_000_000), side(30_000_000))}).splitlines()[2:]
    assert row == "| embed, 10 × 5 × 1,000 | 9.0 → 3.0 MB | 3.0 × | 2.0 → 2.0 MB | 1.0 × | 3.0 → 3.0 MB | 2 → 2 GFLOP |"
    assert below == ["", "tiny in bfloat16, for v5e:2x4, jax 1.0."]


def test_forecasts_are_told_by_the_series() -> None:
    row = table({"a": case(side(90_000_000), side(30_000_000), horizon=64)}).splitlines()[2]
    assert row.startswith("| forecast, 10 × 5 × 1,000 → 64 | 1.8 → 0.6 MB | 3.0 × | 0.4 → 0.4 MB |")


def test_what_does_not_fit_a_chip_is_said_not_to() -> None:
    row = table({"a": case(None, side(30_000_000), horizon=64)}).splitlines()[2]
    assert row.startswith("| forecast, 10 × 5 × 1,000 → 64 | does not fit → 0.6 MB | – | does not fit → 0.4 MB | – |")


def test_only_the_table_of_what_is_saved_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is compiled; what was saved of another size is not mixed with it."""
    page, results = tmp_path / "page.md", tmp_path / "results.json"
    page.write_text("<!-- tpu traffic: written by benchmarks.tpu_traffic --write -->\n<!-- /tpu traffic -->")
    results.write_text(json.dumps({"embed-16": case(side(4), side(2))}))
    monkeypatch.setattr(tpu_traffic, "PAGE", page)
    monkeypatch.setattr(tpu_traffic, "measured", lambda *_: pytest.fail("compiled"))
    options = ["--cases", "--size", "tiny", "--results", str(results), "--write"]
    monkeypatch.setattr("sys.argv", ["tpu_traffic", *options])
    for name in (*ENVIRONMENT, *REQUIRED):
        monkeypatch.setenv(name, "")
    tpu_traffic.main()
    assert page.read_text().count("| embed, ") == 1
    assert list(json.loads(results.read_text())) == ["embed-16"]

    results.write_text(json.dumps({"embed-16": case(side(4), side(2)), "embed-64": case(side(4), side(2)) | OTHER}))
    with pytest.raises(SystemExit):
        tpu_traffic.main()
    assert len(json.loads(results.read_text())) == 2


def test_a_page_without_a_place_is_refused_before_anything_is_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tpu_traffic, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(tpu_traffic, "measured", lambda *_: pytest.fail("compiled"))
    monkeypatch.setattr("sys.argv", ["tpu_traffic", "--results", str(tmp_path / "results.json"), "--write"])
    for name in (*ENVIRONMENT, *REQUIRED):
        monkeypatch.setenv(name, "")
    with pytest.raises(ValueError, match="has no place for the table"):
        tpu_traffic.main()


@pytest.mark.tpu_compile
def test_both_sides_are_compiled_and_saved_beside_what_was(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    earlier = {"long-context": case(side(2), side(1))}
    results.write_text(json.dumps(earlier))
    command = [sys.executable, "-m", "benchmarks.tpu_traffic", "--size", "tiny", "--cases", "embed-16"]
    run = subprocess.run(
        [*command, "--results", str(results)],
        cwd=ROOT,
        env=tpu_environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(results.read_text())
    assert list(found) == ["embed-16", "long-context"]
    assert found["long-context"] == earlier["long-context"]
    new = found["embed-16"]
    assert new["work"] == {"groups": 16, "variates": 5, "steps": 50, "horizon": None}
    assert 0 < new["ours"]["bytes_accessed"] < new["plain"]["bytes_accessed"]
    assert new["plain"]["flops"] > 0
    assert run.stdout.count("| embed, 16 × 5 × 50 | ") == 1
