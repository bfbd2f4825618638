"""A matplotlib figure that needs no pyplot: no display, no global state."""

from io import BytesIO

from matplotlib.figure import Figure


class NotebookFigure(Figure):
    """A figure that a notebook shows as a cell's value; matplotlib's own it shows only once pyplot is imported."""

    def _repr_png_(self) -> bytes:
        file = BytesIO()
        self.savefig(file, format="png", dpi=110)
        return file.getvalue()


def shortened(name: str, longest: int) -> str:
    """A name of so many characters at most; long ones lose their middle, as names differ at their ends."""
    if len(name) <= longest:
        return name
    tail = (longest - 1) // 2
    return f"{name[: longest - 1 - tail]}…{name[-tail:]}"
