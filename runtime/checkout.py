"""What git says of this code."""

import subprocess
from functools import cache
from pathlib import Path

import regularizer_collection

_ROOT = Path(regularizer_collection.__file__).resolve().parent.parent


@cache
def code_commit(root: Path = _ROOT) -> str:
    """Returns the commit of this code, with "+" for local changes, or "unknown" outside git.

    Args:
        root: Folder of the checkout.
    """
    if not _is_checkout(root):
        return "unknown"
    changes = _git(root, "status", "--porcelain", "--untracked-files=no")
    changed = changes or changed_files(root)
    return _git(root, "rev-parse", "--short=12", "HEAD") + ("+" if changed else "")


@cache
def changed_files(root: Path = _ROOT) -> frozenset[Path]:
    """Returns the Python files of the packages that the commit does not have, or has otherwise.

    Args:
        root: Folder of the checkout.
    """
    if not _is_checkout(root):
        return frozenset()
    code = [f"{path.parent.name}/*.py" for path in root.glob("*/__init__.py")]
    changed = _git(root, "diff", "--name-only", "HEAD", "--", *code)
    new = _git(root, "ls-files", "--others", "--exclude-standard", "--", *code)
    return frozenset(root / name for name in [*changed.splitlines(), *new.splitlines()])


def _is_checkout(root: Path) -> bool:
    """Tells whether there is a commit, and it is of this folder, not of one around it."""
    try:
        _git(root, "rev-parse", "HEAD")
        return Path(_git(root, "rev-parse", "--show-toplevel")) == root
    except (OSError, subprocess.CalledProcessError):
        return False


def _git(root: Path, *args: str) -> str:
    command = ["git", "-C", str(root), *args]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
