"""Values of keys, all combinations of them."""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple


class Point(NamedTuple):
    """One combination of values.

    Attributes:
        suffix: What it adds to a variant's name.
        keys: Keys of ``cli.py fit``.
        values: A value of each key.
    """

    suffix: str
    keys: tuple[str, ...]
    values: tuple[str, ...]

    @property
    def options(self) -> tuple[str, ...]:
        """Options of ``cli.py fit``."""
        pairs = zip(self.keys, self.values, strict=True)
        return tuple(part for key, value in pairs for part in (f"--{key}", value))


def grid_points(grid: Sequence[str]) -> list[Point]:
    """Returns all combinations of the values of several keys, one without a grid.

    Args:
        grid: Entries such as ``model.lambda_jacobian=0.001,0.01``.

    Raises:
        ValueError: If an entry has no key or no value, a key or a value is given twice, or a value
            cannot be in a folder's name.
    """
    axes: dict[str, list[str]] = {}
    for entry in grid:
        key, _, values = entry.partition("=")
        key = key.removeprefix("--")
        items = [item.strip() for item in _split(values)]
        if not key or not all(items):
            raise ValueError(f"grid entry {entry!r} has no value; give KEY=VALUE,VALUE,...")
        if bad := next((item for item in items if "/" in item or item != item.strip(".")), None):
            raise ValueError(f"grid value {bad!r} cannot be in a folder's name; give another")
        if repeated := next((item for item in items if items.count(item) > 1), None):
            raise ValueError(f"grid value {repeated!r} of {key} is given twice; give each once")
        if key in axes:
            raise ValueError(f"grid key {key} is given twice; give all its values in one entry")
        axes[key] = items
    names = [key.rpartition(".")[2] for key in axes]
    return [
        Point(
            "".join(f"_{name}={value}" for name, value in zip(names, values, strict=True)),
            tuple(axes),
            values,
        )
        for values in product(*axes.values())
    ]


def _split(values: str) -> list[str]:
    """Splits at commas that are in no list or dictionary."""
    items, depth = [""], 0
    for character in values:
        depth += (character in "[{") - (character in "]}")
        if character == "," and depth == 0:
            items.append("")
        else:
            items[-1] += character
    return items
