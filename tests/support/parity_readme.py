"""The README's parity table: written by a test run, never by hand."""

import re
from collections.abc import Mapping
from pathlib import Path

BEGIN, END = "<!-- parity: written by pytest --write-parity -->", "<!-- /parity -->"


def render(table: Mapping[str, Mapping[str, float]]) -> str:
    """Markdown of case → size → error."""
    sizes = list(dict.fromkeys(size for row in table.values() for size in row))
    lines = ["| " + " | ".join(["case", *sizes]) + " |", "| --- |" + " ---: |" * len(sizes)]
    for case, row in table.items():
        lines.append("| " + " | ".join([case, *(f"{row[size]:.0e}" if size in row else "" for size in sizes)]) + " |")
    return "\n".join(lines)


def write(readme: Path, table: Mapping[str, Mapping[str, float]]) -> None:
    """Replaces what stands between the two markers. Raises ValueError when a marker or the whole table is missing."""
    text = readme.read_text(encoding="utf-8")
    if not table or text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"no parity test ran, or {readme} lacks the markers {BEGIN} and {END}")
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    readme.write_text(pattern.sub(lambda _: f"{BEGIN}\n{render(table)}\n{END}", text), encoding="utf-8")
