"""Images and what an attack makes of them."""

import torch
from matplotlib.figure import Figure
from torch import Tensor

from regularizer_collection.callbacks.picture import picture


def attack_figure(pixels: Tensor, moved: Tensor, said: list[str]) -> Figure:
    """Shows images, the nearest images of another class, and the difference, one column each.

    Args:
        pixels: Pixels from 0 to 1 [images, channels, height, width].
        moved: The same images after an attack.
        said: What stands above each column.

    Returns:
        The figure; differences are stretched to the whole range, their mean is grey.
    """
    change = moved - pixels
    largest = change.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-12)
    rows = torch.stack([pixels, moved, 0.5 + change / largest / 2])
    figure = Figure(figsize=(1.6 * len(pixels), 5), layout="constrained")
    axes = figure.subplots(3, len(pixels), squeeze=False)
    for row, (name, pictures) in enumerate(
        zip(("test image", "nearest other class", "change, stretched"), rows, strict=True)
    ):
        axes[row, 0].set_ylabel(name)
        for column, image in enumerate(pictures):
            axes[row, column].imshow(picture(image.permute(1, 2, 0).clamp(0, 1).float()))
            axes[row, column].set(xticks=[], yticks=[])
            if row == 0:
                axes[row, column].set_title(said[column], fontsize=8)
    return figure
