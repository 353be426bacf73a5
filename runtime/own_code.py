"""Files of a user's own that a config names."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from regularizer_collection.runtime.allowed_imports import ALLOWED
from regularizer_collection.runtime.checkout import changed_files
from regularizer_collection.runtime.initial_weights import file_hash
from regularizer_collection.runtime.plain_value import plain_value


def own_code_hashes(config: Any) -> dict[str, str]:
    """Returns the hash of each file that defines what a config names, by the module's name.

    Of a class these are its own, those of the classes that it inherits from, and that of the module
    which passes it on. Files whose versions are recorded are left out: those of torch and Python,
    and those of this project that are as the commit has them. What a file imports in its turn is
    not looked at.

    Args:
        config: Part of a config, nested dictionaries and lists, whose classes have been imported.
    """
    modules: set[str] = set()
    for name in _strings(plain_value(config)):
        module, _, attribute = name.rpartition(".")
        named = getattr(sys.modules.get(module), attribute, None)
        if named is not None:
            parts = getattr(named, "__mro__", (named,))
            modules |= {module, *(getattr(part, "__module__", module) for part in parts)}
    files = {name: getattr(sys.modules.get(name), "__file__", None) for name in sorted(modules)}
    return {
        sys.modules[name].__name__: file_hash(Path(path))
        for name, path in files.items()
        if path and not _is_recorded(name, Path(path))
    }


def _is_recorded(module: str, path: Path) -> bool:
    package = module.partition(".")[0]
    is_known = package in ALLOWED and path.resolve() not in changed_files()
    return is_known or package in sys.stdlib_module_names


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(item)
