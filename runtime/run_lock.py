"""One process at a time in a run's folder."""

import errno
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from pytorch_lightning.utilities import rank_zero_only

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

# As some network and cluster file systems answer.
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Holds the folder of a run; the system lets go when the process ends, however it ends.

    Only the first process of a run that has several takes it.

    Args:
        folder: Folder of the run, made where it is missing.

    Raises:
        OSError: If it cannot be written to.
        ValueError: If another process holds it.
    """
    if fcntl is None or rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        yield
        return
    lock = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.touch()
    except OSError as error:
        raise OSError(
            f"{folder} cannot be written to ({error.strerror}); give another "
            "--trainer.default_root_dir"
        ) from error
    with lock.open("a+") as file:
        _lock(file, folder)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _lock(file: TextIO, folder: Path) -> None:
    """Locks the file, or goes without where the file system has no locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        raise ValueError(
            f"{folder} is in use by process {file.read().strip()}; wait for it, or give "
            "another --variant or --seed_everything"
        ) from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        warnings.warn(
            f"the file system of {folder} has no locks ({error.strerror}); see to it that no two "
            "runs use the folder at a time",
            stacklevel=4,
        )
