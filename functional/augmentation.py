"""Random crops and flips of a batch of images."""

import torch
import torch.nn.functional as F
from torch import Tensor


def crop_and_flip(images: Tensor, generator: torch.Generator, padding: int = 4) -> Tensor:
    """Shifts each image at random and mirrors every second one, on average.

    Args:
        images: Images [batch, height, width, channels] of any type.
        generator: Source of the random numbers, on the images' device.
        padding: Largest shift in pixels; what comes in from outside is 0.

    Returns:
        Images shaped and typed like the input.
    """
    batch, height, width, _ = images.shape
    device = images.device

    def draw(high: int) -> Tensor:
        return torch.randint(high, (batch, 1), generator=generator, device=device)

    rows = torch.arange(height, device=device) + draw(2 * padding + 1)
    columns = torch.arange(width, device=device) + draw(2 * padding + 1)
    columns = torch.where(draw(2).bool(), columns.flip(1), columns)
    padded = F.pad(images, (0, 0, padding, padding, padding, padding))
    return padded[
        torch.arange(batch, device=device)[:, None, None], rows[:, :, None], columns[:, None]
    ]
