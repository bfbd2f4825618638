"""report.html: what a run can do, as one self-contained page."""

from train.evaluation.page.content import Page
from train.evaluation.page.writing import write_page

__all__ = ["Page", "write_page"]
