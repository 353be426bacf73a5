"""Class maps as text."""

import base64
import zlib
from typing import Any

import numpy as np
from torch import Tensor


def encode_map(labels: Tensor) -> dict[str, Any]:
    """Packs class maps [..., height, width] as base64 of zlib of its int16 values, row by row."""
    packed = zlib.compress(labels.numpy().astype("<i2").tobytes(), 9)
    return {"shape": list(labels.shape), "int16_zlib_base64": base64.b64encode(packed).decode()}


def decode_map(packed: dict[str, Any]) -> np.ndarray:
    """Unpacks what :func:`encode_map` packed."""
    values = zlib.decompress(base64.b64decode(packed["int16_zlib_base64"]))
    return np.frombuffer(values, "<i2").reshape(packed["shape"])
