"""Figures as SVG that stands in a page, and whose marks tell their values."""

import io
from collections.abc import Iterator
from xml.etree import ElementTree

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

_SVG = "http://www.w3.org/2000/svg"
ElementTree.register_namespace("", _SVG)
ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")


def svg(figure: Figure, description: str) -> str:
    """Writes a figure as an SVG element, of which a page may hold several.

    A browser shows the label and the values of a bar, or of a line's marker, while one points at
    it.

    Args:
        figure: Figure whose bars and lines have labels.
        description: What a screen reader says; no other figure of the page has the same.
    """
    texts: dict[str | None, list[str]] = {}
    for axis in figure.axes:
        for artist, of_artist in _labelled(axis):
            artist.set_gid(f"labelled_{len(texts)}")
            texts[artist.get_gid()] = of_artist
    written = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": description, "svg.fonttype": "none"}):
        figure.savefig(written, format="svg", metadata={"Date": None})
    root = ElementTree.fromstring(written.getvalue())
    root.attrib |= {"role": "img", "aria-label": description}
    for group in root.iter(f"{{{_SVG}}}g"):
        # Numbered alike in every figure: only the ids of markers and clip paths are of one alone.
        name = group.attrib.pop("id", None)
        if name in texts:
            marks = group.findall(f".//{{{_SVG}}}use") or [group]
            for mark, text in zip(marks, texts[name], strict=True):
                ElementTree.SubElement(mark, f"{{{_SVG}}}title").text = text
    return ElementTree.tostring(root, encoding="unicode")


def _labelled(axis: Axes) -> Iterator[tuple[Artist, list[str]]]:
    """Yields bars and lines with what each of their marks stands for."""
    for bars in axis.containers:
        if isinstance(bars, BarContainer):
            for bar in bars:
                label = bar.get_label() if _is_label(bar.get_label()) else bars.get_label()
                yield bar, [_text(axis, label, bar.get_x(), bar.get_height())]
    for line in axis.lines:
        label = line.get_label()
        if not _is_label(label):
            continue
        if line.get_marker() in ("None", None, "", " "):
            yield line, [str(label)]
        else:
            yield line, [_text(axis, label, x, y) for x, y in np.asarray(line.get_xydata())]


def _is_label(label: object) -> bool:
    return not str(label).startswith("_")


def _text(axis: Axes, label: object, x: float, y: float) -> str:
    """Writes the numbers whose axes say what they are: a category's place is none."""
    named = ((x, axis.get_xlabel()), (y, axis.get_ylabel()))
    numbers = ", ".join(f"{value:.4g}" for value, name in named if name)
    return f"{label}: {numbers}".replace("\n", " ").replace(r"\$", "$")
