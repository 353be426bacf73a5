"""Files of a user's own that a config names."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from regularizer_collection.runtime.allowed_imports import ALLOWED
from regularizer_collection.runtime.initial_weights import file_hash


def own_code_hashes(config: Any) -> dict[str, str]:
    """Returns the hash of each file that defines what a config names, by the module's name.

    Files of this project and its packages are left out, as their versions are recorded. What a
    file imports in its turn is not looked at.

    Args:
        config: Part of a config, nested dictionaries and lists, whose classes have been imported.
    """
    hashes = {}
    for name in _strings(config):
        module, _, attribute = name.rpartition(".")
        path = getattr(sys.modules.get(module), "__file__", None)
        is_ours = module.partition(".")[0] in ALLOWED
        if path and not is_ours and hasattr(sys.modules[module], attribute):
            hashes[module] = file_hash(Path(path))
    return hashes


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(item)
