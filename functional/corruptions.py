"""Common corruptions of images: the kinds of CIFAR-100-C that need no download.

Strengths are those of Hendrycks and Dietterich (2019, arXiv 1903.12261, make_cifar_c.py). Frost,
snow, spatter and motion blur need pictures or another program, and are left out.
"""

import io
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

from regularizer_collection.functional.seeding import derive_seed

NUM_SEVERITIES = 5


def corrupt(
    images: Tensor, kind: str, severity: int, indices: Sequence[int], seed: int = 0
) -> Tensor:
    """Corrupts images, each by random numbers of its own.

    Args:
        images: Pixels [images, height, width, channels], uint8.
        kind: One of :data:`KINDS`.
        severity: From 1, the weakest, to 5.
        indices: Number of each image, which with the seed decides its random numbers.
        seed: Seed.

    Returns:
        Pixels shaped like the input, uint8, rounded to the nearest.

    Raises:
        ValueError: If there is no such kind or severity.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; give one of {', '.join(KINDS)}")
    if not 1 <= severity <= NUM_SEVERITIES:
        raise ValueError(f"severity is {severity}; give a number from 1 to {NUM_SEVERITIES}")
    strengths, corruption = KINDS[kind]
    generators = [
        torch.Generator().manual_seed(derive_seed(f"{kind} {severity}", seed, index))
        for index in indices
    ]
    corrupted = corruption(images.double() / 255, strengths[severity - 1], generators)
    return (corrupted.clamp(0, 1) * 255).round().to(torch.uint8)


Generators = Sequence[torch.Generator]


def _normal(images: Tensor, generators: Generators) -> Tensor:
    return torch.stack([torch.randn(images.shape[1:], generator=g).double() for g in generators])


def _gaussian_noise(images: Tensor, strength: float, generators: Generators) -> Tensor:
    return images + strength * _normal(images, generators)


def _speckle_noise(images: Tensor, strength: float, generators: Generators) -> Tensor:
    return images + strength * images * _normal(images, generators)


def _shot_noise(images: Tensor, photons: float, generators: Generators) -> Tensor:
    counts = [
        torch.poisson(image * photons, generator=g)
        for image, g in zip(images, generators, strict=True)
    ]
    return torch.stack(counts) / photons


def _impulse_noise(images: Tensor, share: float, generators: Generators) -> Tensor:
    """Sets a share of the values to black or white, as likely."""
    drawn = torch.stack(
        [torch.rand(images.shape[1:], generator=g, dtype=torch.float64) for g in generators]
    )
    salted = torch.where(drawn < share, torch.ones_like(images), images)
    return torch.where(drawn < share / 2, torch.zeros_like(images), salted)


def _gaussian_blur(images: Tensor, sigma: float, generators: Generators) -> Tensor:
    blurred = ndimage.gaussian_filter(images.numpy(), (0, sigma, sigma, 0), mode="nearest")
    return torch.from_numpy(blurred)


def _zoom_blur(images: Tensor, largest: float, generators: Generators) -> Tensor:
    """Averages the image with its enlargements by 1, 1.01, ... , cut to the middle."""
    factors = np.arange(1, largest, 0.01)
    total = images.clone()
    for factor in factors:
        rows, columns = (_enlargement(size, factor).to(images) for size in images.shape[1:3])
        total += torch.einsum("ij,njkc,lk->nilc", rows, images, columns)
    return total / (len(factors) + 1)


def _enlargement(size: int, factor: float) -> Tensor:
    """Returns the matrix that enlarges the middle of a line of pixels, linear between them."""
    kept = math.ceil(size / factor)
    start = (size - kept) // 2
    zoomed = ndimage.zoom(np.eye(size)[start : start + kept], (factor, 1), order=1)
    start = (len(zoomed) - size) // 2
    return torch.from_numpy(zoomed[start : start + size])


def _contrast(images: Tensor, factor: float, generators: Generators) -> Tensor:
    means = images.mean((1, 2), keepdim=True)
    return (images - means) * factor + means


def _brightness(images: Tensor, added: float, generators: Generators) -> Tensor:
    """Adds to the value of hue, saturation and value, which scales the colour."""
    value = images.amax(3, keepdim=True)
    brighter = (value + added).clamp(0, 1)
    return torch.where(value > 0, images * brighter / value.clamp(min=1e-12), brighter)


def _saturate(images: Tensor, change: tuple[float, float], generators: Generators) -> Tensor:
    """Scales and raises the saturation of hue, saturation and value; grey has none to change."""
    value = images.amax(3, keepdim=True)
    chroma = value - images.amin(3, keepdim=True)
    saturation = chroma / value.clamp(min=1e-12)
    wanted = (saturation * change[0] + change[1]).clamp(0, 1)
    changed = value - (value - images) * wanted / saturation.clamp(min=1e-12)
    return torch.where(chroma > 0, changed, images)


def _pixelate(images: Tensor, scale: float, generators: Generators) -> Tensor:
    def through(image: Image.Image) -> Image.Image:
        small = (int(image.width * scale), int(image.height * scale))
        return image.resize(small, Image.Resampling.BOX).resize(image.size, Image.Resampling.BOX)

    return _each_picture(images, through)


def _jpeg(images: Tensor, quality: int, generators: Generators) -> Tensor:
    def through(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file)

    return _each_picture(images, through)


def _each_picture(images: Tensor, through: Callable[[Image.Image], Image.Image]) -> Tensor:
    """Sends each image through PIL; where it has no colours, each channel as a grey picture."""
    is_colour = images.shape[3] == 3
    pixels = (images * 255).round().to(torch.uint8)
    pixels = pixels if is_colour else pixels.permute(0, 3, 1, 2).flatten(0, 1)
    changed = torch.stack(
        [torch.from_numpy(np.array(through(Image.fromarray(p.numpy())))) for p in pixels]
    )
    if not is_colour:
        changed = changed.unflatten(0, (len(images), -1)).permute(0, 2, 3, 1)
    return changed.double() / 255


def _fog(images: Tensor, strength: tuple[float, float], generators: Generators) -> Tensor:
    """Lays a cloud over the image, and makes all of it darker by as much."""
    amount, decay = strength
    size = 2 ** math.ceil(math.log2(max(images.shape[1:3])))
    clouds = torch.stack([_cloud(size, decay, generator) for generator in generators])
    clouds = clouds[:, : images.shape[1], : images.shape[2], None]
    brightest = images.amax((1, 2, 3), keepdim=True)
    return (images + amount * clouds) * brightest / (brightest + amount).clamp(min=1e-12)


def _cloud(size: int, decay: float, generator: torch.Generator) -> Tensor:
    """Draws a periodic fractal height map [size, size] from 0 to 1 by diamonds and squares.

    Midpoints get the mean of four neighbours and a random offset, whose range falls from one grid
    to the next, half as wide, by the decay squared: the published code lowers both a factor and the
    range of what it multiplies. A power of two of a side is needed.
    """
    heights = torch.zeros(1, 1, dtype=torch.float64)
    offset = 1.0

    def displaced(total: Tensor) -> Tensor:
        noise = torch.rand(total.shape, generator=generator, dtype=torch.float64)
        return total / 4 + offset * (2 * noise - 1)

    while len(heights) < size:
        right, below = heights.roll(-1, 1), heights.roll(-1, 0)
        centres = displaced(heights + right + below + below.roll(-1, 1))
        finer = heights.new_zeros(2 * len(heights), 2 * len(heights))
        finer[::2, ::2] = heights
        finer[1::2, 1::2] = centres
        finer[::2, 1::2] = displaced(heights + right + centres + centres.roll(1, 0))
        finer[1::2, ::2] = displaced(heights + below + centres + centres.roll(1, 1))
        heights, offset = finer, offset / decay**2
    heights = heights - heights.min()
    return heights / heights.max().clamp(min=1e-12)


KINDS: dict[str, tuple[tuple, Callable[..., Tensor]]] = {
    "gaussian_noise": ((0.04, 0.06, 0.08, 0.09, 0.10), _gaussian_noise),
    "shot_noise": ((500, 250, 100, 75, 50), _shot_noise),
    "impulse_noise": ((0.01, 0.02, 0.03, 0.05, 0.07), _impulse_noise),
    "speckle_noise": ((0.06, 0.1, 0.12, 0.16, 0.2), _speckle_noise),
    "gaussian_blur": ((0.4, 0.6, 0.7, 0.8, 1.0), _gaussian_blur),
    "zoom_blur": ((1.06, 1.11, 1.16, 1.21, 1.26), _zoom_blur),
    "fog": (((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)), _fog),
    "brightness": ((0.05, 0.1, 0.15, 0.2, 0.3), _brightness),
    "contrast": ((0.75, 0.5, 0.4, 0.3, 0.15), _contrast),
    "saturate": (((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)), _saturate),
    "pixelate": ((0.95, 0.9, 0.85, 0.75, 0.65), _pixelate),
    "jpeg": ((80, 65, 58, 50, 40), _jpeg),
}
"""Strength at each severity, and what it does, of each kind."""
