"""Which packages a config may name."""

import re
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

ALLOWED = {
    *("torch", "torchvision", "torchmetrics", "pytorch_lightning"),
    *(
        "regularizer_collection",
        "callbacks",
        "datamodules",
        "functional",
        "lightning_modules",
        "regularizers",
    ),
}
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def check_imports(args: Sequence[str], allowed: Iterable[str] = ()) -> None:
    """Refuses a command line that names a class outside the allowed packages.

    A config can name any class, and importing a module runs it. So every dotted name in a value,
    whose first part is a package that could be imported, must be of an allowed one.

    Args:
        args: Command line; files after ``--config`` are read.
        allowed: Packages allowed beside :data:`ALLOWED`.

    Raises:
        ValueError: If a value names another package.
    """
    permitted = ALLOWED.union(allowed)
    for key, value in _values(args):
        package = value.partition(".")[0]
        if _DOTTED.fullmatch(value) and package not in permitted and _exists(package):
            raise ValueError(
                f"{key} names {value}, and {package} is not among the packages a config may use; "
                f"if you trust it, give --allow_imports {package}"
            )


def _values(args: Sequence[str]) -> Iterator[tuple[str, str]]:
    for previous, arg in zip(["", *args], args, strict=False):
        key, equals, value = arg.partition("=") if arg.startswith("--") else (previous, "", arg)
        if arg.startswith("--") and not equals:
            continue
        if key == "--config":
            yield from _strings(value, yaml.safe_load(Path(value).read_text()))
        else:
            yield from _strings(key, _parsed(value))


def _parsed(value: str) -> Any:
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        return value


def _strings(key: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _strings(f"{key}: {name}", item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(key, item)


def _exists(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ValueError:  # a module without a spec, such as __main__
        return True
