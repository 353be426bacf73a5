"""What a path means, wherever it is written."""

import os
import re
from pathlib import Path


def full_path(text: str | Path) -> str:
    """Expands ``~`` and ``$VARIABLES`` and makes a path absolute.

    Args:
        text: Path as it was written.

    Raises:
        ValueError: If it names a variable that is not set, or a place that is no file system.
    """
    expanded = os.path.expandvars(os.path.expanduser(text))
    if re.match(r"\w[\w+.-]+://", expanded):
        raise ValueError(f"{text} is not on a file system; give a path on this machine")
    if unset := re.search(r"\$\{?(\w+)", expanded):
        raise ValueError(f"{text} names the variable {unset[1]}, which is not set; set it")
    return os.path.abspath(expanded)
