"""Numbers as they were recorded, and what has become of them. Of all of them, less is better."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from benchmarks.side_by_side.cases import CASES
from chronos_jax.replacing import replacing

TOLERANCE = 0.005
"""Of numbers that a compiler decides, as a share: its releases differ in how they fuse and copy."""

PLAUSIBLE = 0.95
"""Least share of the operations needed that a program is seen to compute: some of attention is no product."""

Verdict = Literal["same", "better", "worse", "not recorded", "not counted", "other compiler", "too little"]
GATING: tuple[Verdict, ...] = ("worse", "not recorded", "not counted", "too little")


class Counts(NamedTuple):
    """Numbers by name, and what they depend on.

    Attributes:
        plain: By the code alone; any that is higher is worse.
        compiled: By the compiler for CPUs as well; worse where beyond the tolerance.
        tpu: By the compiler for TPUs; None where it was not asked.
        jax: Version, which decides both compilers.
    """

    plain: Mapping[str, float]
    compiled: Mapping[str, float]
    tpu: Mapping[str, float] | None
    jax: str


class Row(NamedTuple):
    """One number, now and as recorded."""

    name: str
    recorded: float | None
    found: float | None
    verdict: Verdict


def compare(recorded: Counts, found: Counts) -> list[Row]:
    """Every number of either; those for TPUs only where both have them or `found` has.

    Numbers of a compiler other than the recorded one get the verdict "other compiler" unless they are the same.
    """
    same_compiler = recorded.jax == found.jax
    rows = _rows(recorded.plain, found.plain, 0.0, same_compiler=True)
    rows += _rows(recorded.compiled, found.compiled, TOLERANCE, same_compiler)
    if found.tpu is not None:
        rows += _rows(recorded.tpu or {}, found.tpu, TOLERANCE, same_compiler)
    return rows


def _rows(
    recorded: Mapping[str, float], found: Mapping[str, float], tolerance: float, same_compiler: bool
) -> list[Row]:
    rows = []
    for name in dict.fromkeys([*recorded, *found]):
        before, now = recorded.get(name), found.get(name)
        verdict: Verdict
        if now is not None and name.startswith("operations computed") and now < PLAUSIBLE:
            verdict = "too little"  # the compiler has put products where they are not seen
        elif before is None:
            verdict = "not recorded"
        elif now is None:
            verdict = "not counted"
        elif abs(now - before) <= tolerance * before + 1e-9:
            verdict = "same"
        elif not same_compiler:
            verdict = "other compiler"
        else:
            verdict = "better" if now < before else "worse"
        rows.append(Row(name, before, now, verdict))
    return rows


def table(rows: list[Row]) -> str:
    """In plain text, the numbers in columns."""
    cells = [("", "recorded", "now", "")]
    cells += [(row.name, _number(row.recorded), _number(row.found), row.verdict) for row in rows]
    names, befores, nows = (max(len(cell[column]) for cell in cells) for column in range(3))
    return "\n".join(f"{a:{names}}  {b:>{befores}}  {c:>{nows}}  {d}".rstrip() for a, b, c, d in cells)


def markdown(found: Counts) -> str:
    """What programs compute and move beyond what is needed, a row for each case, for the documentation."""
    columns = {
        "operations per operation needed": ("operations computed per operation needed: ", 1),
        "MB per position": ("bytes moved per position needed: ", 1e6),
        "positions per position needed": ("CPU, positions computed per position needed: ", 1),
        "the same on a GPU": ("GPU, positions computed per position needed: ", 1),
    }
    numbers = {**found.plain, **found.compiled}
    lines = [f"| case | {' | '.join(columns)} |", "| --- |" + " ---: |" * len(columns)]
    for name, case in CASES.items():
        values = [(numbers.get(prefix + name), unit) for prefix, unit in columns.values()]
        if any(value is not None for value, _ in values):
            cells = ("" if value is None else f"{value / unit:.3f}" for value, unit in values)
            lines.append(f"| {case.title} | {' | '.join(cells)} |")
    return "\n".join(lines) + f"\n\nchronos-2 in float32, jax {found.jax}.\n"


def _number(number: float | None) -> str:
    if number is None:
        return "–"
    return f"{number:,}" if isinstance(number, int) else f"{number:,.0f}" if number >= 1000 else f"{number:.3f}"


def read(path: Path) -> Counts:
    """What was recorded.

    Raises:
        FileNotFoundError: Nothing was.
        ValueError: The file is none of these.
    """
    if not path.is_file():
        raise FileNotFoundError(f"nothing is recorded in {path}: record what is now with --write")
    try:
        content = json.loads(path.read_text())
        return Counts(*(content[key] for key in Counts._fields))
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{path} is no record of counts ({error!r}): put it back") from error


def write(path: Path, found: Counts) -> None:
    """Records numbers; those for TPUs stay where there are none among them and the version of JAX is the same."""
    content: dict[str, Any] = {"command": "python -m benchmarks.counts --tpu --write", **found._asdict()}
    if found.tpu is None and path.is_file() and (before := read(path)).jax == found.jax:
        content["tpu"] = before.tpu
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as beside:
        beside.write_text(json.dumps(content, indent=1) + "\n")
