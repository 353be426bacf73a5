"""Commands as a user gives them, each in a fresh process."""

import subprocess
import sys

from benchmarks.race import Work
from regularizer_collection.experiments.run import PROJECT

CLI = str(PROJECT / "cli.py")


def command(*arguments: str) -> Work:
    """Runs a Python command, silently."""

    def work() -> None:
        process = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, check=False
        )
        if process.returncode:
            raise RuntimeError(f"{' '.join(arguments)} failed: {process.stderr}")

    return work
