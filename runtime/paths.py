"""What a path means, wherever it is written."""

import os
import re
from pathlib import Path


def full_path(text: str | Path) -> str:
    """Expands ``~`` and ``$VARIABLES`` and makes a path absolute.

    Args:
        text: Path as it was written.

    Raises:
        ValueError: If it names a user or a variable that is not there, or a place that is no file
            system.
    """
    at_home = os.path.expanduser(text)
    if at_home.startswith("~"):
        user = at_home[1:].partition("/")[0]
        raise ValueError(f"{text} names the home of {user}, who is no user here; give a full path")
    expanded = os.path.expandvars(at_home)
    if re.match(r"\w[\w+.-]+://", expanded):
        raise ValueError(f"{text} is not on a file system; give a path on this machine")
    if unset := re.search(r"\$\{?(\w+)", expanded):
        raise ValueError(f"{text} names the variable {unset[1]}, which is not set; set it")
    return os.path.abspath(expanded)
