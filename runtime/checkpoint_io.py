"""Checkpoints that a kill, a full disk or a stranger's file cannot spoil."""

import io
import os
import pickle
import shutil
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import Tensor

PREVIOUS = "previous.ckpt"


class SafeCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint whole or not at all, keeps the one before, and loads tensors only.

    A file that cannot be read gives way to ``previous.ckpt`` beside it, with a warning. Loading
    never runs code that a file holds.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Writes to a temporary file, keeps the present checkpoint as the previous, then renames.

        What is elsewhere, such as ``s3://``, is written as Lightning does, with no previous one.

        Raises:
            OSError: If the file cannot be written; what was there stays.
            TypeError: If there is a part that no load would read.
        """
        _check_that_a_load_reads(checkpoint)
        if _is_remote(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        try:
            with temporary.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            if path.exists():
                _keep(path, path.with_name(PREVIOUS))
        except BaseException as error:
            temporary.unlink(missing_ok=True)
            # torch.save covers what the file raised with a RuntimeError about its own position.
            if isinstance(error, RuntimeError) and isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise
        temporary.replace(path)

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Any | None = "cpu",
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Loads a checkpoint, or the previous one where the file is damaged.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If neither can be read.
        """
        if _is_remote(path):
            return super().load_checkpoint(path, map_location, weights_only=True)
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"no checkpoint {path}; give the path of a run's last.ckpt")
        previous = path.with_name(PREVIOUS)
        try:
            return _load(path, map_location)
        except ValueError as error:
            if path == previous or not previous.is_file():
                raise
            warnings.warn(f"{error}; {previous} is used instead", stacklevel=2)
            return _load(previous, map_location)


def _is_remote(path: str | Path) -> bool:
    return "://" in str(path)


def _keep(path: Path, previous: Path) -> None:
    """Gives a file a second name, or copies it where the file system has no hard links."""
    previous.unlink(missing_ok=True)
    try:
        os.link(path, previous)
    except OSError:
        shutil.copyfile(path, previous)


def _check_that_a_load_reads(checkpoint: dict[str, Any]) -> None:
    """Tries all parts but tensors: those of weights, and the states of callbacks and the like."""
    for section, content in checkpoint.items():
        parts = content if isinstance(content, dict) else {"": content}
        for key, part in parts.items():
            if isinstance(part, Tensor):
                continue
            file = io.BytesIO()
            torch.save(_without_tensors(part), file)
            file.seek(0)
            try:
                torch.load(file, weights_only=True)
            except pickle.UnpicklingError as error:
                name = key if section == "state_dict" else f"{section}.{key}".rstrip(".")
                raise TypeError(
                    f"{name} has a value that no checkpoint is read with; keep tensors, numbers, "
                    "text, lists and dicts in it, or register buffers"
                ) from error


def _without_tensors(value: Any) -> Any:
    if isinstance(value, Tensor):
        return None
    if type(value) in (dict, OrderedDict):
        return {key: _without_tensors(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return [_without_tensors(item) for item in value]
    return value


def load_tensors(path: Path, map_location: Any) -> Any:
    """Reads what ``torch.save`` wrote, and runs no code in it.

    Args:
        path: File of tensors and plain values.
        map_location: Where the tensors go, see ``torch.load``.

    Raises:
        ValueError: If the file is damaged or holds other things.
    """
    try:
        return torch.load(path, map_location=map_location, weights_only=True)
    except (FileNotFoundError, PermissionError):
        raise
    except (RuntimeError, EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
        raise ValueError(
            f"{path} is truncated, or holds more than tensors and plain values; give a checkpoint "
            "that this project wrote, or a state dict"
        ) from error


def _load(path: Path, map_location: Any) -> dict[str, Any]:
    checkpoint = load_tensors(path, map_location)
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise ValueError(f"{path} holds no state_dict; give a checkpoint that this project wrote")
    return checkpoint
