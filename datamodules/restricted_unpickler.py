"""Reads data pickles without running code."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

# What the pickles of numpy 1 and 2 name: the two functions that rebuild arrays and scalars.
_MULTIARRAY: dict[str, Any] = {
    "_reconstruct": np.zeros(1).__reduce__()[0],
    "scalar": np.float64(0).__reduce__()[0],
}


def _latin1(text: str, encoding: str) -> bytes:
    """Stands in for ``codecs.encode``, with which protocol 2 of Python 3 spells bytes."""
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1,
    **{("numpy.core.multiarray", name): value for name, value in _MULTIARRAY.items()},
    **{("numpy._core.multiarray", name): value for name, value in _MULTIARRAY.items()},
}


class _RestrictedUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a data file")
        return _ALLOWED[module, name]


def load_arrays(path: Path) -> dict[str, Any]:
    """Reads a pickled dictionary of numpy arrays and plain containers.

    Args:
        path: File written by Python 2 or 3.

    Returns:
        The dictionary, its keys as text.

    Raises:
        ValueError: If the file is cut off, names anything but numpy arrays, or holds no dictionary.
    """
    try:
        with path.open("rb") as file:
            content = _RestrictedUnpickler(file, encoding="bytes").load()
        return {key.decode() if isinstance(key, bytes) else key: content[key] for key in content}
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise ValueError(
            f"{path} is not a readable data file ({error}); delete it and download it again"
        ) from error
