"""Progress on stderr, and only where somebody looks at it."""

import jax
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


def progress_bar(*fields: str, show: bool | None = None) -> Progress:
    """A progress bar that shows nothing unless stderr is a terminal and this is the first process.

    Args:
        fields: Formats of further columns, over the task's fields.
        show: Whether the bar is shown, instead.
    """
    console = Console(stderr=True)
    if show is None:
        show = console.is_terminal and jax.process_index() == 0
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        *(TextColumn(field) for field in fields),
        console=console,
        disable=not show,
        transient=True,
    )
