"""Values of keys, all combinations of them."""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple


class Point(NamedTuple):
    """One combination: what it adds to a variant's name, and its options of ``cli.py fit``."""

    suffix: str
    options: tuple[str, ...]


def grid_points(grid: Sequence[str]) -> list[Point]:
    """Returns all combinations of the values of several keys, one without a grid.

    Args:
        grid: Entries such as ``model.lambda_jacobian=0.001,0.01``.

    Raises:
        ValueError: If an entry has no key or no value, or a value cannot be in a folder's name.
    """
    axes = []
    for entry in grid:
        key, _, values = entry.partition("=")
        key = key.removeprefix("--")
        items = [item.strip() for item in values.split(",")]
        if not key or not all(items):
            raise ValueError(f"grid entry {entry!r} has no value; give KEY=VALUE,VALUE,...")
        if bad := next((item for item in items if "/" in item or item != item.strip(".")), None):
            raise ValueError(f"grid value {bad!r} cannot be in a folder's name; give another")
        if repeated := next((item for item in items if items.count(item) > 1), None):
            raise ValueError(f"grid value {repeated!r} of {key} is given twice; give each once")
        name = key.rpartition(".")[2]
        axes.append([(f"_{name}={item}", (f"--{key}", item)) for item in items])
    return [
        Point("".join(suffix for suffix, _ in point), tuple(o for _, pair in point for o in pair))
        for point in product(*axes)
    ]
