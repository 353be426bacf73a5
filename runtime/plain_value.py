"""Values of a config as they can be written and read again."""

import re
from collections.abc import Mapping
from enum import Enum
from functools import partial
from typing import Any


def plain_value(value: Any) -> Any:
    """Returns what is the same in every process: plain types, and functions by their names.

    Args:
        value: A value of a config, which may hold others.
    """
    if isinstance(value, Enum):
        return plain_value(value.value) if isinstance(value, int | str) else value.name
    if value is None or isinstance(value, bool):
        return value
    for cls in (int, float, str):  # of which jsonargparse and numpy have subclasses
        if isinstance(value, cls):
            return cls(value)
    if isinstance(value, Mapping):
        return {key: plain_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(map(plain_value, value), key=str)
    if isinstance(value, partial):
        parts = {"function": value.func, "arguments": value.args, "keywords": value.keywords}
        return plain_value(parts)
    if hasattr(value, "__qualname__") and hasattr(value, "__module__"):
        return f"{value.__module__}.{value.__qualname__}"
    return re.sub(r" at 0x[0-9a-fA-F]+", "", str(value))
