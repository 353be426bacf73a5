"""Room for any number of variants in a figure."""

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_INCHES_A_LINE = 0.17
_INCHES_BETWEEN_ROWS = 0.13
_MOST_COLUMNS = 6
_TITLE_WIDTH, _NAME_WIDTH = 28, 40  # characters
_COLORS, _MARKERS = 10, "os^Dv"


def row_figure(names: Sequence[str], num_panels: int = 1) -> tuple[Figure, Sequence[Axes]]:
    """Returns a figure with a row for each name, and its panels from left to right."""
    figure = Figure(figsize=(8, 1 + rows_height(names)), layout="constrained")
    return figure, figure.subplots(1, num_panels, squeeze=False, sharey=True)[0]


def rows_height(names: Sequence[str]) -> float:
    """Returns the inches that rows with such names need."""
    num_lines = max(plain(name).count("\n") + 1 for name in names)
    return len(names) * (_INCHES_BETWEEN_ROWS + num_lines * _INCHES_A_LINE)


def draw_rows(
    axis: Axes,
    names: Sequence[str],
    values: Sequence[float],
    lows: Sequence[float],
    highs: Sequence[float],
    **marks: Any,
) -> None:
    """Draws a value and its interval in each row, the first on top.

    Args:
        axis: Panel of a figure.
        names: Names of the rows.
        values: A mark in each row.
        lows: Lower ends of the intervals; NaN where there is none.
        highs: Upper ends.
        **marks: How values are drawn.
    """
    names = [plain(name) for name in names]
    style = {"color": "#1f4e79", "marker": "o"} | marks
    for row, (name, value, low, high) in enumerate(zip(names, values, lows, highs, strict=True)):
        axis.plot([low, high], [row, row], "-", color=style["color"])
        axis.plot(value, row, linestyle="none", label=name, **style)
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)


def column_figure(
    num_columns: int, num_rows: int, width: float, height: float, **subplots: Any
) -> tuple[Figure, list[np.ndarray]]:
    """Returns a figure with a column for each variant, and its axes by column.

    Beyond six, the columns go on below.

    Args:
        num_columns: Number of columns.
        num_rows: Number of rows in each.
        width: Width of a column in inches.
        height: Height of a row in inches.
        **subplots: Arguments of :meth:`Figure.subplots`.
    """
    across = min(num_columns, _MOST_COLUMNS)
    blocks = math.ceil(num_columns / across)
    size = (width * across, height * num_rows * blocks)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(blocks * num_rows, across, squeeze=False, **subplots)
    columns = [
        axes[block * num_rows : (block + 1) * num_rows, place]
        for block in range(blocks)
        for place in range(across)
    ]
    for axis in np.ravel(columns[num_columns:]):
        axis.set_axis_off()
    return figure, columns[:num_columns]


def add_legend(figure: Figure, axis: Axes) -> None:
    """Writes what an axis shows beside the figure, which grows as high as that needs."""
    handles, labels = axis.get_legend_handles_labels()
    width, height = figure.get_size_inches()
    num_lines = sum(label.count("\n") + 1 for label in labels)
    figure.set_size_inches(width, max(height, 0.5 + _INCHES_A_LINE * num_lines))
    figure.legend(handles, labels, loc="outside right upper", fontsize=7)


def distinct(number: int) -> dict[str, Any]:
    """Returns color and marker of a variant, by its place in the order of all."""
    return {
        "color": f"C{number % _COLORS}",
        "marker": _MARKERS[number // _COLORS % len(_MARKERS)],
    }


def title(run: dict[str, Any]) -> str:
    """Names a run, in as many lines as a column's width needs."""
    return plain(f"{run['variant']} (seed {run['seed']})", _TITLE_WIDTH)


def plain(name: str, width: int = _NAME_WIDTH) -> str:
    """Writes a name of a user's as it is, in lines that fit.

    matplotlib takes what stands between dollars for a formula, and hides what begins with "_".

    Args:
        name: The name.
        width: Characters of a line.
    """
    text = textwrap.fill(name, width).replace("$", r"\$")
    return f"\N{ZERO WIDTH SPACE}{text}" if text.startswith("_") else text
