"""Perturbations of images that change what a network says, or how sure it is.

Images are pixels from 0 to 1 where a model is an argument, and the model takes them as such.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from regularizer_collection.functional.checks import check_at_least, check_between
from regularizer_collection.functional.pixels import PixelSpace

Model = Callable[[Tensor], Tensor]

_PIXELS = PixelSpace((0.0,), (1.0,))
_SATURATED = 1e-3


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns how far the label's logit lies above the next [batch]; below 0 where it is wrong.

    Args:
        logits: Logits [batch, classes].
        labels: Classes [batch].
    """
    own = logits.gather(1, labels[:, None])
    others = logits.scatter(1, labels[:, None], -math.inf)
    return (own - others.amax(1, keepdim=True)).squeeze(1)


def fgsm(model: Model, images: Tensor, labels: Tensor, eps: float) -> Tensor:
    """Moves each pixel by eps along the sign of the gradient (Goodfellow et al. 2015, equation 2).

    Args:
        model: Maps pixels [batch, channels, height, width] to logits, in eval mode.
        images: Pixels [batch, channels, height, width].
        labels: Classes [batch].
        eps: Distance in pixels from 0 to 1.

    Returns:
        Pixels [batch, channels, height, width].

    Raises:
        ValueError: If ``eps`` is outside [0, 1].
    """
    return pgd(model, images, labels, eps, eps, 1)


def pgd(
    model: Model,
    images: Tensor,
    labels: Tensor,
    eps: float,
    step_size: float,
    num_steps: int,
    start: Tensor | None = None,
    watch: Callable[[Tensor], None] | None = None,
) -> Tensor:
    """Ascends the loss within eps of each pixel (Madry et al. 2018, section 2.1).

    The loss is cross-entropy, and minus the margin where cross-entropy has run out of gradient.

    Args:
        model: Maps pixels [batch, channels, height, width] to logits, in eval mode.
        images: Pixels [batch, channels, height, width].
        labels: Classes [batch].
        eps: Largest distance in pixels from 0 to 1.
        step_size: Length of a step in each pixel, on the same scale.
        num_steps: Number of steps.
        start: Pixels from which the ascent starts; None starts from the images.
        watch: Called with the pixels after every step.

    Returns:
        Pixels [batch, channels, height, width].

    Raises:
        ValueError: If ``eps`` is outside [0, 1], or there are no steps.
    """
    check_between("eps", eps, 0, 1)
    check_at_least("num_steps", num_steps, 1)
    return sign_ascent(
        lambda moved: _attack_loss(model(moved), labels),
        images,
        images if start is None else start,
        eps,
        step_size,
        num_steps,
        _PIXELS,
        watch,
    )


def _attack_loss(logits: Tensor, labels: Tensor) -> Tensor:
    cross_entropy = F.cross_entropy(logits, labels, reduction="none")
    return torch.where(cross_entropy > _SATURATED, cross_entropy, -margin(logits, labels)).sum()


def fmn_l2(
    model: Model,
    images: Tensor,
    labels: Tensor,
    num_steps: int = 100,
) -> Tensor:
    """Finds the nearest pixels of another class: the fast minimum-norm attack, Euclidean.

    Pintor et al. 2021 (arXiv 2102.12827), algorithm 1: an ascent of the negative margin within a
    ball that shrinks by a share gamma while the image is misclassified and grows while it is not;
    step length and gamma, 0.05 at first, fall along a cosine.

    Args:
        model: Maps pixels [batch, channels, height, width] to logits, in eval mode.
        images: Pixels [batch, channels, height, width].
        labels: Classes [batch].
        num_steps: Number of steps.

    Returns:
        Pixels [batch, channels, height, width]: the nearest found of another class, the image
        itself where it is misclassified, NaN where nothing was found.

    Raises:
        ValueError: If there are no steps.
    """
    check_at_least("num_steps", num_steps, 1)
    images = images.detach()
    delta = torch.zeros_like(images)
    radius = images.new_full((len(images),), math.inf)
    nearest = torch.full_like(images, math.nan)
    shortest = torch.full_like(radius, math.inf)
    for step in range(num_steps + 1):
        moved = (images + delta).requires_grad_()
        with torch.enable_grad():
            margins = margin(model(moved), labels)
            (gradient,) = torch.autograd.grad(margins.sum(), moved)
        length, slope = _norm(delta), _norm(gradient).clamp(min=1e-12)
        is_adversarial = margins.detach() < 0
        is_shorter = is_adversarial & (length < shortest)
        shortest = torch.where(is_shorter, length, shortest)
        nearest = torch.where(_over(is_shorter, images), moved.detach(), nearest)
        if step == num_steps:
            break
        cosine = (1 + math.cos(math.pi * step / num_steps)) / 2
        share = 0.001 + (0.05 - 0.001) * cosine
        # As long as nothing was found, just beyond the boundary of the linear model, and further
        # in every step, to make up for what the box of pixels cuts off.
        linear = (length + margins.detach().abs() / slope) * 1.001
        grown = torch.where(radius.isinf(), linear, radius * (1 + share))
        grown = torch.where(shortest.isinf(), torch.maximum(linear, grown), grown)
        shrunk = torch.minimum(radius * (1 - share), shortest)
        radius = torch.where(is_adversarial, shrunk, grown)
        step_length = 0.01 + (1 - 0.01) * cosine
        delta = delta - step_length * gradient / _over(slope, images)
        delta = delta * _over((radius / _norm(delta).clamp(min=1e-12)).clamp(max=1), images)
        delta = (images + delta).clamp(0, 1) - images
    return nearest


def direction_distance(
    model: Model,
    images: Tensor,
    labels: Tensor,
    directions: Tensor,
) -> Tensor:
    """Finds how far along a direction the class first changes, on a grid of doubled distances.

    The box of pixels is left on purpose: the question is the boundary's shape, not the picture.

    Args:
        model: Maps pixels [batch, channels, height, width] to logits, in eval mode.
        images: Pixels [batch, channels, height, width].
        labels: Classes [batch] from which a change counts.
        directions: Directions of length 1 [batch, channels, height, width].

    Returns:
        Distances [batch], to one per cent; 0 where the image is misclassified, infinite where
        nothing changed up to 256.
    """
    low = images.new_zeros(len(images))
    high = torch.full_like(low, math.inf)

    @torch.no_grad()
    def narrow(chosen: Tensor, distance: Tensor) -> None:
        moved = images[chosen] + _over(distance, images) * directions[chosen]
        has_changed = model(moved).argmax(1) != labels[chosen]
        high[chosen[has_changed]] = distance[has_changed]
        low[chosen[~has_changed]] = distance[~has_changed]

    for distance in (0.0, *(2.0**n for n in range(-1, 9))):
        unchanged = high.isinf().nonzero().flatten()
        if len(unchanged):
            narrow(unchanged, low.new_full((len(unchanged),), distance))
    while True:
        is_wide = high.isfinite() & (high - low > 0.01 * high) & (high > 1e-6)
        wide = is_wide.nonzero().flatten()
        if not len(wide):
            return high
        narrow(wide, (low[wide] + high[wide]) / 2)


def sign_ascent(
    loss: Callable[[Tensor], Tensor],
    images: Tensor,
    start: Tensor,
    eps: float,
    step_size: float,
    num_steps: int,
    pixels: PixelSpace,
    watch: Callable[[Tensor], None] | None = None,
) -> Tensor:
    """Ascends a loss of normalised images by signs of its gradient.

    After each step the images are moved back into the box of half-width eps around the given ones
    and into pixels from 0 to 1.

    Args:
        loss: Maps images, which it may change in place, to a scalar, such that each image's
            gradient is its own: a sum over them.
        images: Normalised images [batch, channels, height, width].
        start: Images from which the ascent starts, such as ``images`` or a point of the box.
        eps: Half-width of the box in pixels from 0 to 1, such as 8 / 255.
        step_size: Length of a step in each pixel, on the same scale.
        num_steps: Number of steps.
        pixels: Pixel values behind the images.
        watch: Called with the images after every step.

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
            (gradient,) = torch.autograd.grad(loss(moved.clone()), moved)
        moved = into_box(moved.detach() + stride * gradient.sign())
        if watch is not None:
            watch(moved)
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
    # Of 16 bits the difference would be rounding alone, and autocast leaves them so on the CPU.
    dtype = torch.promote_types(logits.dtype, torch.float32)
    ours, theirs = logits.log_softmax(1, dtype=dtype), others.log_softmax(1, dtype=dtype)
    return (ours.exp() * (ours - theirs)).sum(1)


def _norm(images: Tensor) -> Tensor:
    return images.flatten(1).norm(dim=1)


def _over(values: Tensor, images: Tensor) -> Tensor:
    """Shapes values [batch] to broadcast over images."""
    return values.view(-1, *[1] * (images.dim() - 1))
