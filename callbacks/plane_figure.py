"""A picture of class maps."""

import colorsys
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from torch import Tensor

from regularizer_collection.callbacks.picture import picture

_NO_CLASS_COLOR = (0.0, 0.0, 0.0)
_IMAGE_SHARE = 0.12


def class_colors(num_classes: int) -> ListedColormap:
    """Gives each class its colour, the same in every picture; what has no class (-1) is black.

    Hues advance by the golden ratio, so that any few neighbouring classes are far apart.

    Args:
        num_classes: Number of classes; the map has one entry more, the first.
    """
    colors = [
        colorsys.hls_to_rgb(0.618034 * label % 1, (0.45, 0.6, 0.75)[label % 3], 0.7)
        for label in range(num_classes)
    ]
    return ListedColormap([_NO_CLASS_COLOR, *colors])


def draw_class_map(
    axis: Axes, class_map: np.ndarray, num_classes: int, half_width: float | None = None
) -> None:
    """Draws classes [rows, columns] in their colours, the first row at the bottom.

    Args:
        axis: Where to draw.
        class_map: The classes.
        num_classes: Number of classes.
        half_width: Distance from the centre to the edge, in the units of the axis; None counts
            points.
    """
    axis.imshow(
        class_map,
        cmap=class_colors(num_classes),
        vmin=-1.5,
        vmax=num_classes - 0.5,
        interpolation="nearest",
        origin="lower",
        extent=None if half_width is None else (-half_width, half_width, -half_width, half_width),
    )


def plane_figure(
    title: str,
    half_width: float,
    num_classes: int,
    class_maps: Sequence[Tensor],
    images: Sequence[Tensor],
    distances: Sequence[float],
    captions: Sequence[str],
) -> Figure:
    """Draws class maps, each with its image at the centre and the circle of the nearest boundary.

    Args:
        title: Heading of the figure.
        half_width: Distance from the centre of a plane to its edge, in input units.
        num_classes: Number of classes.
        class_maps: Classes [resolution, resolution] of each plane.
        images: Image [height, width, channels] (uint8) at the centre of each plane.
        distances: Distance from each image to the nearest boundary, in input units.
        captions: Title of each plane.

    Returns:
        Figure outside pyplot's registry: it needs no closing.
    """
    columns = int(np.ceil(np.sqrt(len(class_maps))))
    rows = -(-len(class_maps) // columns)
    figure = Figure(figsize=(2.6 * columns, 2.8 * rows + 0.5), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(rows, columns, squeeze=False).flat
    span = (-half_width, half_width)
    size = _IMAGE_SHARE * half_width
    planes = zip(class_maps, images, distances, captions, strict=True)
    for (class_map, image, distance, caption), axis in zip(planes, axes, strict=False):
        draw_class_map(axis, class_map.numpy(), num_classes, half_width)
        axis.imshow(picture(image), extent=(-size, size, -size, size), zorder=2)
        if distance < half_width:
            for color, width in (("white", 2.5), ("black", 1.0)):
                circle = Circle((0, 0), distance, fill=False, color=color, lw=width, zorder=3)
                axis.add_patch(circle)
        axis.set(xlim=span, ylim=span)
        axis.set_title(caption, fontsize=8)
        axis.tick_params(labelsize=6)
    for axis in list(axes):
        axis.set_axis_off()
    figure.supxlabel("first direction (input units)", fontsize=8)
    figure.supylabel("second direction (input units)", fontsize=8)
    return figure
