"""Files that are written whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

_unfinished: list[Path] = []


@contextmanager
def atomic_write(path: Path) -> Iterator[TextIO]:
    """Opens a file that takes the place of ``path`` once all of it is on the disk.

    A signal's handler may write the same file while it is being written.

    Args:
        path: Path of the file, which may exist.

    Raises:
        OSError: If it cannot be written; what was there stays.
    """
    temporary = path.with_name(f".{path.name}.tmp{len(_unfinished) or ''}")
    _unfinished.append(temporary)
    try:
        with temporary.open("w", newline="") as file:  # the same line endings everywhere
            yield file
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        _unfinished.remove(temporary)
