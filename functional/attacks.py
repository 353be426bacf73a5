"""Perturbations of images that raise a loss the most."""

from collections.abc import Callable

import torch
from torch import Tensor

from regularizer_collection.functional.pixels import PixelSpace


def pgd(
    loss: Callable[[Tensor], Tensor],
    images: Tensor,
    start: Tensor,
    eps: float,
    step_size: float,
    num_steps: int,
    pixels: PixelSpace,
) -> Tensor:
    """Ascends a loss by signs of its gradient (Madry et al. 2018, arXiv 1706.06083, section 2.1).

    After each step the images are moved back into the box of half-width eps around the given ones
    and into pixels from 0 to 1.

    Args:
        loss: Maps images to a scalar, such that each image's gradient is its own: a sum over them.
        images: Normalised images [batch, channels, height, width].
        start: Images from which the ascent starts, such as ``images`` or a point of the box.
        eps: Half-width of the box in pixels from 0 to 1, such as 8 / 255.
        step_size: Length of a step in each pixel, on the same scale.
        num_steps: Number of steps.
        pixels: Pixel values behind the images.

    Returns:
        Images [batch, channels, height, width] without gradient.
    """
    images = images.detach()
    radius, stride = pixels.distance(eps, images), pixels.distance(step_size, images)
    low, high = images - radius, images + radius

    def into_box(moved: Tensor) -> Tensor:
        return pixels.clamp(torch.minimum(torch.maximum(moved, low), high))

    moved = into_box(start.detach())
    for _ in range(num_steps):
        moved.requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(loss(moved), moved)
        moved = into_box(moved.detach() + stride * gradient.sign())
    return moved


def random_start(images: Tensor, eps: float, pixels: PixelSpace, uniform: Tensor) -> Tensor:
    """Returns a point of the box around each image.

    Args:
        images: Normalised images [batch, channels, height, width].
        eps: Half-width of the box in pixels from 0 to 1.
        pixels: Pixel values behind the images.
        uniform: Numbers from 0 to 1, shaped like the images, that choose it.
    """
    return images + pixels.distance(eps, images) * (2 * uniform - 1)


def kl_divergence(logits: Tensor, others: Tensor) -> Tensor:
    """Computes KL(p || q) of each sample, p and q the softmax of two logits [batch, classes]."""
    ours, theirs = logits.log_softmax(1), others.log_softmax(1)
    return (ours.exp() * (ours - theirs)).sum(1)
