"""The loss of one training step with any regularizers: the whole order of calls."""

import warnings
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain, count
from typing import NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from regularizer_collection.regularizers.regularizer import Regularizer
from regularizer_collection.regularizers.second_pass import (
    differentiable_attention,
    random_state,
)
from regularizer_collection.regularizers.step import Step

_LOGGED_BESIDE = ("loss", "cross_entropy", "accuracy", "penalty_gradient_ratio")


class Terms(NamedTuple):
    """What a training step computed; the mean of a term over processes is that of the whole batch.

    But for the total all is of the first evaluation of the loss: at the present weights, or where
    :class:`WeightNoise` moved them.

    Attributes:
        total: Loss to minimise.
        cross_entropy: Cross-entropy.
        penalties: Further terms, by name.
        logits: Logits [batch, classes].
        targets: Labels [batch], or probabilities [batch, classes] where a regularizer mixed them.
    """

    total: Tensor
    cross_entropy: Tensor
    penalties: dict[str, Tensor]
    logits: Tensor
    targets: Tensor


def regularized_loss(
    backbone: nn.Module,
    regularizers: Iterable[Regularizer],
    images: Tensor,
    labels: Tensor,
    step: Step,
) -> Terms:
    """Computes cross-entropy and penalties the way the regularizers ask for, top to bottom.

    Args:
        backbone: Network from images to logits.
        regularizers: What changes the loss; their order is the order of the calls.
        images: Normalised images [batch, channels, height, width].
        labels: Labels [batch].
        step: Where the training stands.

    Returns:
        The loss and what it consists of.
    """
    named = name_regularizers(regularizers)
    targets = labels
    weight = step.weight(len(images))
    for _, regularizer, twin in named:
        num_images = len(images)
        batch = regularizer.transform(images, targets, replace(step, twin=twin))
        _check_batch(batch, regularizer)
        images, targets = batch
        if len(images) != num_images:
            step = replace(step, global_size=None)  # what it was no longer tells how many there are
    images = images.detach()
    images.requires_grad_(any(r.needs_image_gradient(step) for _, r, _ in named))
    evaluations: list[tuple[Tensor, dict[str, Tensor], Tensor]] = []

    def loss() -> Tensor:
        state = random_state(images.device)
        with differentiable_attention(images):
            logits = backbone(images.clone())  # which it may change in place, unlike the images
        cross_entropy = weight * F.cross_entropy(logits, targets)
        penalties = {}
        for name, regularizer, twin in named:
            here = replace(step, twin=twin, dropout_state=state)
            term = regularizer.penalty(logits, images, targets, here)
            if term is not None:
                _check_term(term, regularizer, cross_entropy)
                penalties[name] = weight * term
        evaluations.append((cross_entropy, penalties, logits))
        return sum(penalties.values(), start=cross_entropy)

    minimised = loss
    for _, regularizer, twin in reversed(named):  # so that the first of the list is outermost
        minimised = regularizer.wrap(minimised, replace(step, twin=twin))
        if not callable(minimised):
            raise ValueError(
                f"wrap of {type(regularizer).__name__} returned {_kind(minimised)}; return a "
                "function without arguments that returns the loss"
            )
    total = minimised()
    if not evaluations:
        raise ValueError("wrap of a regularizer never called the loss that it was given; call it")
    return Terms(total, *evaluations[0], targets)


def penalty_gradient_ratio(
    terms: Terms, parameters: Iterable[Tensor], world_size: int = 1
) -> Tensor:
    """Computes ||gradient of all penalties|| / ||gradient of the cross-entropy||.

    Above 1 the penalties outweigh the cross-entropy; then the weights of a first layer can blow up.

    Args:
        terms: Terms of a step whose loss is their sum, before ``backward``.
        parameters: Weights that the gradients are taken of.
        world_size: Number of processes, whose gradients are summed.
    """
    weights = [parameter for parameter in parameters if parameter.requires_grad]

    def norm(loss: Tensor) -> Tensor:
        gradients = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
        found = [gradient for gradient in gradients if gradient is not None]
        if world_size > 1:
            for gradient in found:
                dist.all_reduce(gradient)
        return torch.stack([gradient.norm() for gradient in found]).norm()

    penalty = norm(torch.stack([*terms.penalties.values()]).sum())
    return penalty / norm(terms.cross_entropy)


class NamedRegularizer(NamedTuple):
    """A regularizer, the name of its term, and how many of the same class stand before it."""

    name: str
    regularizer: Regularizer
    twin: int


def name_regularizers(regularizers: Iterable[Regularizer]) -> list[NamedRegularizer]:
    """Names each regularizer; a second of one name gets ``<name>_2`` and so on.

    No name is that of what a training logs beside the terms.
    """
    named: list[NamedRegularizer] = []
    taken = set(_LOGGED_BESIDE)
    for regularizer in regularizers:
        twin = sum(other.regularizer.name == regularizer.name for other in named)
        further = (f"{regularizer.name}_{number}" for number in count(2))
        name = next(name for name in chain([regularizer.name], further) if name not in taken)
        taken.add(name)
        named.append(NamedRegularizer(name, regularizer, twin))
    return named


def _check_batch(batch: object, regularizer: Regularizer) -> None:
    parts = batch if isinstance(batch, tuple | list) else ()
    if len(parts) != 2 or not all(isinstance(part, Tensor) for part in parts):
        raise ValueError(
            f"transform of {type(regularizer).__name__} returned {_kind(batch)}; return images and "
            "targets"
        )


def _check_term(term: object, regularizer: Regularizer, cross_entropy: Tensor) -> None:
    if not isinstance(term, Tensor) or term.ndim:
        raise ValueError(
            f"the penalty of {type(regularizer).__name__} is {_kind(term)}; return a tensor of one "
            "number, such as a mean over the batch"
        )
    if cross_entropy.requires_grad and not term.requires_grad:
        warnings.warn(
            f"the penalty of {type(regularizer).__name__} has no gradient, so that it changes "
            "nothing; compute it of what is trained, without detach",
            stacklevel=3,
        )


def _kind(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {list(value.shape)}"
    if isinstance(value, tuple | list):
        return f"{len(value)} values"
    return f"a {type(value).__name__}"
