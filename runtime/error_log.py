"""The traceback of an error, for whoever extends the code."""

import tempfile
import traceback
from pathlib import Path

import yaml
from jsonargparse import ArgumentError
from pytorch_lightning.utilities import rank_zero_only
from pytorch_lightning.utilities.exceptions import MisconfigurationException

import regularizer_collection
from regularizer_collection.runtime.error_line import is_out_of_memory

# Their message says it all, wherever they come from.
_SELF_EXPLAINING = (ArgumentError, MemoryError, MisconfigurationException, OSError, yaml.YAMLError)
_RAISED_HERE = (FloatingPointError, ImportError, ValueError)
"""What lines of this package raise with a message; any other error of theirs is a mistake."""
_FOLDERS = (
    *("backbones", "callbacks", "datamodules", "experiments", "functional", "lightning_modules"),
    *("regularizers", "runtime"),
)


def leave_traceback(error: Exception, folder: Path | None = None) -> Path | None:
    """Writes the traceback of an error that a message does not explain into a file.

    Messages of this project explain themselves; those of a library, reached through a network or a
    regularizer of the user's, do not.

    Args:
        error: What was raised.
        folder: Folder of the run; None takes the system's for temporary files.

    Returns:
        The path of the file, ``error.log`` in the folder (``error_rank_1.log`` of a second
        process), or None where none was needed.
    """
    is_told = isinstance(error, _RAISED_HERE) and _is_ours(error)
    if isinstance(error, _SELF_EXPLAINING) or is_out_of_memory(str(error)) or is_told:
        return None
    text = "".join(traceback.format_exception(error))
    if folder is not None and folder.is_dir():
        rank = rank_zero_only.rank  # type: ignore[attr-defined]
        path = folder / (f"error_rank_{rank}.log" if rank else "error.log")
        path.write_text(text)
        return path
    with tempfile.NamedTemporaryFile("w", prefix="error_", suffix=".log", delete=False) as file:
        file.write(text)
    return Path(file.name)


def _is_ours(error: Exception) -> bool:
    """Tells whether the line that raised it is one of this package."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [Path(folder) / name for folder in regularizer_collection.__path__ for name in _FOLDERS]
    return bool(frames) and any(map(Path(frames[-1].filename).is_relative_to, ours))
