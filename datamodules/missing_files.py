"""What is said of data that are not there."""

from collections.abc import Sequence
from pathlib import Path


def missing_files(
    title: str, folder: Path, missing: Sequence[str], reason: str, parent_of: str
) -> FileNotFoundError:
    """Makes the error that names missing files and two ways on.

    Args:
        title: Name of the data set.
        folder: Where its files should be.
        missing: Names of those that are not.
        reason: Why they were not downloaded.
        parent_of: Name of the folder whose parent ``--data.data_dir`` is.
    """
    return FileNotFoundError(
        f"{title} not found: {folder} has no {' and no '.join(missing)}, and {reason}; point "
        f"--data.data_dir at the parent of a {parent_of} folder, or train without any download on "
        "drawn images with --config demo.yaml"
    )
