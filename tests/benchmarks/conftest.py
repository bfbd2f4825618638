"""`benchmarks` is not installed: it is found in the checkout, behind everything that is."""

import sys
from pathlib import Path

ROOT = str(Path(__file__).parents[2])
if ROOT not in sys.path:
    sys.path.append(ROOT)
