"""What code does not import, seen from a process of its own."""

import subprocess
import sys


def assert_not_imported(module: str, code: str) -> None:
    """Runs Python code, which must end well and leave this module alone."""
    code = f"{code}\nimport sys\nassert {module!r} not in sys.modules"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
