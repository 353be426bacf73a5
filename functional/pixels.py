"""Pixel values from 0 to 1, seen from normalised images."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PixelSpace:
    """Converts between pixels and the normalised values a network sees, (pixel - mean) / std.

    Attributes:
        mean: Mean pixel of each channel.
        std: Standard deviation of each channel's pixels.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def distance(self, pixels: float, like: Tensor) -> Tensor:
        """Converts a difference of pixels, such as 8/255, to input units.

        Args:
            pixels: Difference on the scale from 0 to 1.
            like: Images [batch, channels, height, width] whose type and device the result takes.

        Returns:
            Difference of each channel, shaped to broadcast over images.
        """
        return pixels / _per_channel(self.std, like)

    def clamp(self, images: Tensor) -> Tensor:
        """Moves normalised images [batch, channels, height, width] into pixels from 0 to 1."""
        mean, std = _per_channel(self.mean, images), _per_channel(self.std, images)
        return images.clamp(-mean / std, (1 - mean) / std)

    def normalise(self, pixels: Tensor) -> Tensor:
        """Maps pixels [batch, channels, height, width] from 0 to 1 to what a network sees."""
        return (pixels - _per_channel(self.mean, pixels)) / _per_channel(self.std, pixels)

    def denormalise(self, images: Tensor) -> Tensor:
        """Maps normalised images [batch, channels, height, width] back to pixels."""
        return images * _per_channel(self.std, images) + _per_channel(self.mean, images)


def _per_channel(values: tuple[float, ...], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).view(-1, 1, 1)
