"""What was measured so far, kept so that a test that was killed goes on where it stood."""

import os
import shutil
from pathlib import Path
from typing import Any

import torch


class MeasuredParts:
    """The values of items, each in a file of its own below the run's folder.

    Args:
        folder: Folder of the files.
        key: What was measured, of which network, in one text: values of another are ignored.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder
        self.key = key

    def load(self, number: int) -> Any:
        """Returns the value of an item, or None where there is none."""
        path = self._path(number)
        kept = torch.load(path, weights_only=True) if path.is_file() else {"key": None}
        return kept["value"] if kept["key"] == self.key else None

    def save(self, number: int, value: Any) -> None:
        """Keeps the value of an item: tensors, and plain types, in dictionaries or lists."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path(number)
        unfinished = path.with_suffix(f".{os.getpid()}")
        torch.save({"key": self.key, "value": value}, unfinished)
        unfinished.replace(path)

    def clear(self) -> None:
        """Removes all of it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number}.pt"
