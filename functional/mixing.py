"""Mixtures of each sample of a batch with the one before it (mixup, CutMix)."""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from regularizer_collection.functional.seeding import derive_seed


class Box(NamedTuple):
    """A rectangle of pixels: rows top to bottom (exclusive), columns left to right (exclusive)."""

    top: int
    bottom: int
    left: int
    right: int


def draw_mixing_ratio(alpha: float, generator: torch.Generator) -> float:
    """Draws from Beta(alpha, alpha) the share that a sample keeps of itself.

    Args:
        alpha: Parameter of the distribution; small values leave most samples nearly unmixed.
        generator: Its initial seed alone decides, so each call gives the same number.
    """
    # torch draws from a Beta distribution with its global random state alone.
    seed = derive_seed("beta", generator.initial_seed())
    return float(np.random.default_rng(seed).beta(alpha, alpha))


def mix(rows: Tensor, ratio: float) -> Tensor:
    """Returns ratio * row + (1 - ratio) * the row before, the first row's being the last.

    Args:
        rows: Images, feature maps or probabilities [batch, ...].
        ratio: Share of itself that each row keeps.
    """
    return rows.roll(1, 0).mul(1 - ratio).add(rows, alpha=ratio)


def draw_box(ratio: float, height: int, width: int, generator: torch.Generator) -> Box:
    """Draws a rectangle of area 1 - ratio around a random pixel, cut at the image's border.

    Args:
        ratio: Share of the image that lies outside, before the cut.
        height: Rows of the image.
        width: Columns of the image.
        generator: Source of the random numbers.
    """
    side = math.sqrt(1 - ratio) / 2
    row, column = (
        int(torch.randint(size, (1,), generator=generator, device=generator.device))
        for size in (height, width)
    )
    half_height, half_width = int(side * height), int(side * width)
    return Box(
        max(0, row - half_height),
        min(height, row + half_height),
        max(0, column - half_width),
        min(width, column + half_width),
    )


def paste(images: Tensor, box: Box) -> tuple[Tensor, float]:
    """Fills a rectangle of each image with that of the image before.

    Args:
        images: Images [batch, channels, height, width].
        box: The rectangle.

    Returns:
        The images, and the share of pixels that each keeps of itself.
    """
    rows, columns = slice(box.top, box.bottom), slice(box.left, box.right)
    pasted = images.clone()
    pasted[..., rows, columns] = images.roll(1, 0)[..., rows, columns]
    area = (box.bottom - box.top) * (box.right - box.left)
    return pasted, 1 - area / (images.shape[-2] * images.shape[-1])
