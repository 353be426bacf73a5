"""An attack that asks for logits alone, and so finds what missing gradients hide."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from regularizer_collection.functional.attacks import Model, margin
from regularizer_collection.functional.checks import check_at_least, check_between

_FIRST_SHARE = 0.8
_HALVINGS = (10, 50, 200, 1000, 2000, 4000, 6000, 8000)  # queries of 10,000


def square(
    model: Model,
    images: Tensor,
    labels: Tensor,
    eps: float,
    num_queries: int,
    generators: Sequence[torch.Generator],
) -> Tensor:
    """Lowers the margin by random squares of colour (Andriushchenko et al. 2020, algorithm 1).

    Starts from random vertical stripes. Each query moves all pixels of a random square by eps, up
    or down in each channel, and is kept where it lowers the margin, until the image is
    misclassified.

    Args:
        model: Maps pixels [batch, channels, height, width] to logits, in eval mode.
        images: Pixels [batch, channels, height, width].
        labels: Classes [batch].
        eps: Largest distance in pixels from 0 to 1.
        num_queries: Number of queries; squares become smaller along them.
        generators: A random number generator on the CPU for each image.

    Returns:
        Pixels [batch, channels, height, width].

    Raises:
        ValueError: If ``eps`` is outside [0, 1], or there are no queries.
    """
    check_between("eps", eps, 0, 1)
    check_at_least("num_queries", num_queries, 1)
    channels, height, width = images.shape[1:]

    def signs(generator: torch.Generator, columns: int) -> Tensor:
        drawn = torch.randint(2, (channels, 1, columns), generator=generator)
        return (2 * drawn - 1).to(images)

    stripes = torch.stack([signs(generator, width) for generator in generators])
    moved = (images + eps * stripes).clamp(0, 1)
    with torch.no_grad():
        margins = margin(model(moved), labels)
        for query in range(1, num_queries):
            left = (margins >= 0).nonzero().flatten()
            if not len(left):
                break
            side = _side(query / num_queries, min(height, width))
            tried = moved[left]
            for candidate, number in zip(tried, left.tolist(), strict=True):
                generator = generators[number]
                top, start = (
                    int(torch.randint(size - side + 1, (), generator=generator))
                    for size in (height, width)
                )
                window = (slice(None), slice(top, top + side), slice(start, start + side))
                candidate[window] = images[number][window] + eps * signs(generator, 1)
            tried.clamp_(0, 1)
            found = margin(model(tried), labels[left])
            is_lower = found < margins[left]
            moved[left[is_lower]] = tried[is_lower]
            margins[left[is_lower]] = found[is_lower]
    return moved


def _side(share_done: float, size: int) -> int:
    share = _FIRST_SHARE / 2 ** sum(share_done * 10_000 > halving for halving in _HALVINGS)
    return max(1, round(math.sqrt(share) * size))
