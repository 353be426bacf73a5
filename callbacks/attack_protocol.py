"""What is done to images, and which stay right: the same for every network."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor

from regularizer_collection.callbacks.measurement import Subject
from regularizer_collection.functional.attacks import direction_distance, fgsm, fmn_l2, margin, pgd
from regularizer_collection.functional.batch_sizes import in_few_sizes
from regularizer_collection.functional.corruptions import KINDS, NUM_SEVERITIES, corrupt
from regularizer_collection.functional.seeding import derive_seed
from regularizer_collection.functional.square_attack import square

VERSION = 2
"""Rises when a number of the record comes to mean another thing; no report mixes two versions.

2: fog is as rough as the published one, and flatness leaves out images that were not moved.
"""
NOISE = (0.02, 0.05, 0.1, 0.2)
FGSM_EPS = (*(pixels / 255 for pixels in (0.5, 1, 2, 4, 8)), 0.1, 0.2, 0.3)
_NUM_LINES = 5
_NUM_STARTS = 2
_NUM_QUERIES = 200


class Images(NamedTuple):
    """Images and the network that classifies them, in the order of an attack's arguments.

    Attributes:
        model: Maps pixels from 0 to 1 to logits.
        pixels: Pixels [images, channels, height, width].
        labels: Classes [images].
        indices: Positions in the test split, from which random numbers are drawn.
    """

    model: Callable[[Tensor], Tensor]
    pixels: Tensor
    labels: Tensor
    indices: list[int]

    def stay_right(self, pixels: Tensor) -> Tensor:
        """Tells which of the images are right with other pixels [images]."""
        return self.model(pixels).argmax(1) == self.labels

    def where(self, chosen: Tensor) -> "Images":
        """Returns a part of the images."""
        positions = chosen.nonzero().flatten()
        indices = [self.indices[position] for position in positions.tolist()]
        return Images(self.model, self.pixels[positions], self.labels[positions], indices)


@dataclass(frozen=True)
class AttackProtocol:
    """Noise, corruptions, attacks and distances; see :class:`Robustness` for the settings."""

    eps: tuple[float, ...]
    num_steps: int
    distance_steps: int
    seed: int

    def measure(
        self, subject: Subject, indices: Sequence[int], is_checked: bool
    ) -> dict[str, Tensor]:
        """Measures some images.

        Args:
            subject: The network and its data.
            indices: Positions of the images in the test split.
            is_checked: Whether to attack them longer and harder too, to see whether PGD is weak.

        Returns:
            Whether each image is right, by what was done to it, [images] or [images, steps]; False
            where it was wrong before. ``distance``, ``distance_normalised`` and ``line_distance``
            are distances in pixels, or in input units; 0 where it was wrong before, infinite where
            no other class was found.
        """
        pixels, labels = subject.pixels(indices), subject.labels(indices)
        model = in_few_sizes(subject.logits, max(1, len(indices) // 10))
        images = Images(model, pixels, labels, list(indices))
        found = {"clean": images.stay_right(pixels)}
        for name, changed in self._disturbed(subject, images):
            found[name] = images.stay_right(changed)
        is_right = found["clean"]
        # No attack takes an empty batch: where no image is right, one stands for them.
        is_attacked = is_right if is_right.any() else torch.arange(len(labels)).to(labels) == 0
        right = images.where(is_attacked)
        distances = self._distances(right, subject.data.std)
        attacked = dict(chain(self._attacks(right), distances))
        if is_checked:
            eps = self.eps[len(self.eps) // 2]
            attacked["check"] = self._check(right, attacked[f"pgd/{eps_name(eps)}"], eps)
        for name, values in attacked.items():
            whole = values.new_zeros(len(pixels), *values.shape[1:])
            whole[is_attacked] = values
            whole[~is_right] = 0
            found[name] = whole
        return {name: values.cpu() for name, values in found.items()}

    def _disturbed(self, subject: Subject, images: Images) -> Iterator[tuple[str, Tensor]]:
        noise = self._draw("noise", torch.randn, images)
        for sigma in NOISE:
            noisy = images.pixels + sigma * noise
            yield f"noise/{sigma}", noisy.clamp(0, 1)
            yield f"noise_unclipped/{sigma}", noisy
        raw = subject.data.images_and_labels("test")[0][images.indices]
        for kind in KINDS:
            for severity in range(1, NUM_SEVERITIES + 1):
                changed = corrupt(raw, kind, severity, images.indices, self.seed)
                yield f"{kind}/{severity}", subject.place(changed.permute(0, 3, 1, 2)) / 255

    def _attacks(self, right: Images) -> Iterator[tuple[str, Tensor]]:
        # At the strengths of PGD too, beside which it tells whether PGD is weak.
        for name, eps in {eps_name(eps): eps for eps in (*self.eps, *FGSM_EPS)}.items():
            yield f"fgsm/{name}", right.stay_right(fgsm(*right[:3], eps))
        signs = self._draw("signs", torch.randn, right).sign()
        for eps in self.eps:
            yield f"pgd/{eps_name(eps)}", self._survive_pgd(right, eps, self.num_steps)
            moved = (right.pixels + eps * signs).clamp(0, 1)
            yield f"random_signs/{eps_name(eps)}", right.stay_right(moved)
        # Hoffman et al. 2019, section 3.3: after k steps of 1/255 no pixel is further than k/255.
        by_steps = [torch.ones_like(right.labels, dtype=torch.bool)]
        pgd(*right[:3], 32 / 255, 1 / 255, 40, watch=lambda x: by_steps.append(right.stay_right(x)))
        yield "pgd_by_steps", torch.stack(by_steps, 1)

    def _survive_pgd(self, images: Images, eps: float, num_steps: int) -> Tensor:
        """Tells which images stay right from every start, random within eps."""
        survive = torch.ones_like(images.labels, dtype=torch.bool)
        for start in range(_NUM_STARTS):
            left = images.where(survive)
            if left.indices:
                uniform = self._draw(f"start {start}", torch.rand, left)
                first = left.pixels + eps * (2 * uniform - 1)
                moved = pgd(*left[:3], eps, eps / 4, num_steps, first)
                survive[survive.clone()] = left.stay_right(moved)
        return survive

    def _check(self, right: Images, usual: Tensor, eps: float) -> Tensor:
        """Attacks five times as long, without gradients, without limit; looks for zero gradients.

        Args:
            right: The images.
            usual: Which of them stay right under PGD within eps.
            eps: Largest change of a pixel of the first two.

        Returns:
            Whether each stays right under the usual and the three other attacks, and whether its
            gradient is zero [images, 5].
        """
        longer = self._survive_pgd(right, eps, 5 * self.num_steps)
        generators = self._generators("square", right)
        blind = right.stay_right(square(*right[:3], eps, _NUM_QUERIES, generators))
        step_size = 64 / 255 / min(4, self.num_steps)  # few steps must reach as far
        unlimited = right.stay_right(pgd(*right[:3], 64 / 255, step_size, self.num_steps))
        pixels = right.pixels.clone().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(
                margin(right.model(pixels), right.labels).sum(), pixels
            )
        is_zero = (gradient == 0).flatten(1).all(1)
        return torch.stack([usual, longer, blind, unlimited, is_zero], 1)

    def _distances(self, right: Images, std: tuple[float, ...]) -> Iterator[tuple[str, Tensor]]:
        change = fmn_l2(*right[:3], self.distance_steps) - right.pixels
        in_input_units = change / change.new_tensor(std).view(-1, 1, 1)
        yield "distance", _length(change).nan_to_num(nan=math.inf)
        yield "distance_normalised", _length(in_input_units).nan_to_num(nan=math.inf)
        lines = []
        for number in range(_NUM_LINES):
            drawn = self._draw(f"line {number}", torch.randn, right)
            line = drawn / _length(drawn).view(-1, 1, 1, 1)
            both_ways = torch.cat([line, -line])
            model, pixels, labels = right[:3]
            found = direction_distance(
                model, pixels.repeat(2, 1, 1, 1), labels.repeat(2), both_ways
            )
            lines.append(torch.minimum(*found.chunk(2)))
        yield "line_distance", torch.stack(lines, 1).median(1).values

    def _draw(self, stream: str, draw: Callable[..., Tensor], images: Images) -> Tensor:
        """Draws numbers for each image from a seed of its own, whatever images are beside it."""
        like = images.pixels
        generators = self._generators(stream, images)
        numbers = [draw(like.shape[1:], generator=generator) for generator in generators]
        return torch.stack(numbers).to(like) if numbers else torch.zeros_like(like)

    def _generators(self, stream: str, images: Images) -> list[torch.Generator]:
        seeds = (derive_seed(stream, self.seed, index) for index in images.indices)
        return [torch.Generator().manual_seed(seed) for seed in seeds]


def eps_name(eps: float) -> str:
    """Writes a change of a pixel as what it is of 255 levels, or as a share from 0.1 on."""
    return f"{eps:g}" if eps >= 0.1 else f"{255 * eps:.4g}_255"


def _length(images: Tensor) -> Tensor:
    return images.flatten(1).norm(dim=1)
