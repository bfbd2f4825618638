"""Tables on pages of the documentation, between two markers, where commands write them."""

from pathlib import Path

from chronos_jax.replacing import replacing


def check_place(page: Path, name: str, command: str) -> None:
    """Raises ValueError unless a page has exactly one place for a table; see `write_between`."""
    _around(page, name, command)


def write_between(page: Path, name: str, command: str, table: str) -> None:
    """Puts a table between `<!-- NAME: written by COMMAND -->` and `<!-- /NAME -->`, in place of what is there.

    Args:
        page: A page of the documentation.
        name: Of the place.
        command: What writes it, for readers of the page's source.
        table: In Markdown.

    Raises:
        ValueError: The page has not exactly one such place.
    """
    before, after = _around(page, name, command)
    with replacing(page) as beside:
        beside.write_text(f"{before}\n{table.strip()}\n\n{after}")


def _around(page: Path, name: str, command: str) -> tuple[str, str]:
    """What stands before the table and behind it, with the markers."""
    start, end = f"<!-- {name}: written by {command} -->\n", f"<!-- /{name} -->"
    text = page.read_text() if page.exists() else ""
    if text.count(start) != 1 or text.count(end) != 1 or text.index(end) < text.index(start):
        raise ValueError(f"{page} has no place for the table: it must hold, once, the lines {start.strip()} and {end}")
    before, _, rest = text.partition(start)
    return before + start, end + rest.partition(end)[2]
