"""Synthetic 100-class images: ten shapes in ten textures, drawn from a seed without any download.

Class index = shape index * 10 + texture index, and texture index = hue index * 2 + striped.
A label therefore needs three cues at once: the outline, the colour and the pattern of one object
of random place, size and tilt among distractors of any colour.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from regularizer_collection.functional.checks import check_at_least

NUM_CLASSES = 100
NUM_TEXTURES = 10
IMAGE_SIZE = 32

# Bounds the memory for intermediate results to about 100 MB, however many images are drawn.
_CHUNK_SIZE = 1_000

# Red, yellow, green, blue and purple as fractions of the hue circle. Evenly spaced hues would put
# two of five between green and blue, which are hard to tell apart by eye.
_HUES = (0.0, 0.15, 0.36, 0.60, 0.82)
_HUE_JITTER = 0.06

# Tuned so that a ResNet18 with the ImageNet stem (stride 4) learns from its first steps on. With
# any rotation, objects of radius 7 to 11, 3 blobs, 2 lines and noise 0.08, it still named only
# 15 % of the shapes after 400 steps of 100 images; chance is 10 %.
_MAX_TILT = math.pi / 8
_NUM_BLOBS = 2
_NUM_LINES = 1
_NOISE_STD = 0.06


def draw_shapes(num_images: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draws labelled images of textured shapes.

    The first images of a larger draw differ from a smaller draw with the same seed, because the
    labels are shuffled over the whole draw.

    Args:
        num_images: Number of images, at least 1.
        seed: The only source of randomness; equal arguments give equal bytes.

    Returns:
        RGB images from 0 to 255 as uint8, shape [num_images, 32, 32, 3], and class indices from
        0 to 99 as int64, shape [num_images]. Class counts differ by at most one.

    Raises:
        ValueError: If ``num_images`` is below 1.
    """
    check_at_least("num_images", num_images, 1)
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randperm(num_images, generator=generator) % NUM_CLASSES
    images = torch.empty(num_images, IMAGE_SIZE, IMAGE_SIZE, 3, dtype=torch.uint8)
    for chunk, chunk_labels in zip(
        images.split(_CHUNK_SIZE), labels.split(_CHUNK_SIZE), strict=True
    ):
        chunk.copy_(_draw_chunk(chunk_labels, generator))
    return images, labels


def _draw_chunk(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Draws one image per label, back to front; returns uint8, shape [n, 32, 32, 3]."""

    def uniform(low: float, high: float) -> Tensor:
        """One number per image, shape [n, 1, 1]."""
        return low + (high - low) * torch.rand(len(labels), 1, 1, generator=generator)

    def offsets(low: float, high: float) -> tuple[Tensor, Tensor]:
        """Pixel distances to the right of and below a point with coordinates in that range."""
        pixels = torch.arange(IMAGE_SIZE) + 0.5
        return pixels - uniform(low, high), pixels[:, None] - uniform(low, high)

    def random_colour() -> Tensor:
        return _hsv_to_rgb(uniform(0, 1), uniform(0, 0.8), uniform(0.1, 0.9))

    # Background: a linear gradient between two colours in a random direction.
    angle = uniform(0, 2 * math.pi)
    x, y = offsets(8, 24)
    mix = ((x * angle.cos() + y * angle.sin()) / IMAGE_SIZE + 0.5).clamp(0, 1)
    canvas = torch.lerp(random_colour(), random_colour(), mix[:, None])

    # Distractors behind the object may have its colour, so that colour alone does not locate it.
    for _ in range(_NUM_BLOBS):
        distance = torch.hypot(*offsets(0, IMAGE_SIZE)) - uniform(1.5, 4.5)
        blob_colour = _hsv_to_rgb(uniform(0, 1), uniform(0.3, 1), uniform(0.4, 1))
        canvas = _paint(canvas, distance, blob_colour)

    # The object, in coordinates that turn and grow with it.
    radius, angle = uniform(9, 13), uniform(-_MAX_TILT, _MAX_TILT)
    x, y = offsets(13, 19)
    u = (x * angle.cos() + y * angle.sin()) / radius
    v = (y * angle.cos() - x * angle.sin()) / radius
    shapes = labels // NUM_TEXTURES
    distance = torch.empty_like(u)
    for shape, signed_distance in enumerate(_SHAPES.values()):
        members = (shapes == shape).nonzero().squeeze(1)
        distance[members] = signed_distance(u[members], v[members])

    textures = (labels % NUM_TEXTURES)[:, None, None]
    hue = torch.tensor(_HUES)[textures // 2] + uniform(-_HUE_JITTER, _HUE_JITTER)
    # Stripes of a fixed width in pixels: scaled with the object, they would blur on small ones.
    stripes = torch.sin(u * radius * (2 * math.pi / 5) + uniform(0, 2 * math.pi))
    shade = 1 - (textures % 2) * uniform(0.45, 0.75) * (0.5 + 2 * stripes).clamp(0, 1)
    colour = _hsv_to_rgb(hue, uniform(0.55, 1), uniform(0.6, 1))
    canvas = _paint(canvas, distance * radius, colour * shade[:, None])

    # Lines in front hide part of the object and imitate stripes.
    for _ in range(_NUM_LINES):
        angle = uniform(0, math.pi)
        x, y = offsets(0, IMAGE_SIZE)
        across = x * angle.cos() + y * angle.sin()
        canvas = _paint(canvas, across.abs() - uniform(0.3, 1.2), random_colour())

    noise = torch.randn(canvas.shape, generator=generator)
    canvas = canvas.add_(noise, alpha=_NOISE_STD).clamp_(0, 1)
    return canvas.mul_(255).round_().to(torch.uint8).permute(0, 2, 3, 1)


def _paint(canvas: Tensor, distance: Tensor, colour: Tensor) -> Tensor:
    """Covers the canvas with a colour where the distance to the outline, in pixels, is negative.

    The colour has shape [n, 3, 32, 32] or one that broadcasts to it. Edge pixels are mixed by
    their approximate coverage (anti-aliasing).
    """
    return torch.lerp(canvas, colour, (0.5 - distance).clamp(0, 1)[:, None])


def _hsv_to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Converts [n, 1, 1] hues in turns, saturations and values to colours, shape [n, 3, 1, 1]."""
    sector = (torch.tensor([5.0, 3.0, 1.0])[:, None, None] + 6 * hue[:, None]) % 6
    return value[:, None] * (
        1 - saturation[:, None] * torch.minimum(sector, 4 - sector).clamp(0, 1)
    )


def _star(num_points: int, inner_radius: float) -> Callable[[Tensor, Tensor], Tensor]:
    """A star with tips at radius 1; a regular polygon if the inner radius is cos(pi / points)."""
    half_sector = math.pi / num_points
    inner_u, inner_v = inner_radius * math.cos(half_sector), inner_radius * math.sin(half_sector)
    length = math.hypot(1 - inner_u, inner_v)

    def signed_distance(u: Tensor, v: Tensor) -> Tensor:
        # Folding the plane into half a sector leaves one straight edge to measure from.
        angle = (torch.atan2(v, u) + half_sector) % (2 * half_sector) - half_sector
        radius = torch.hypot(u, v)
        folded_u, folded_v = radius * angle.cos(), radius * angle.sin().abs()
        return ((folded_u - 1) * inner_v + folded_v * (1 - inner_u)) / length

    return signed_distance


def _box(u: Tensor, v: Tensor, half_width: float, half_height: float) -> Tensor:
    return torch.maximum(u.abs() - half_width, v.abs() - half_height)


# Signed distances to the outlines of shapes of radius about 1: negative inside, zero on the
# outline. Exact, or nearly so, close to the outline: only there do they affect a pixel.
_SHAPES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "disc": lambda u, v: torch.hypot(u, v) - 0.85,
    "ring": lambda u, v: (torch.hypot(u, v) - 0.75).abs() - 0.22,
    "triangle": _star(3, math.cos(math.pi / 3)),
    "square": _star(4, math.cos(math.pi / 4)),
    "star": _star(5, 0.45),
    "bar": lambda u, v: _box(u, v, 1, 0.35),
    "cross": lambda u, v: torch.minimum(_box(u, v, 0.95, 0.28), _box(u, v, 0.28, 0.95)),
    "corner": lambda u, v: torch.minimum(
        _box(u + 0.5, v, 0.28, 0.78), _box(u, v - 0.5, 0.78, 0.28)
    ),
    "crescent": lambda u, v: torch.maximum(
        torch.hypot(u, v) - 0.95, 0.75 - torch.hypot(u - 0.5, v)
    ),
    "half disc": lambda u, v: torch.maximum(torch.hypot(u, v + 0.4) - 1, -0.4 - v),
}
