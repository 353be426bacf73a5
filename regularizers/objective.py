"""The loss of one training step with any regularizers: the whole order of calls."""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regularizer_collection.regularizers.regularizer import Regularizer
from regularizer_collection.regularizers.second_pass import (
    differentiable_attention,
    random_state,
)
from regularizer_collection.regularizers.step import Step


class Terms(NamedTuple):
    """What a training step computed; the mean of a term over processes is that of the whole batch.

    Attributes:
        total: Loss to minimise.
        cross_entropy: Cross-entropy at the present weights.
        penalties: Further terms at the present weights, by name.
        logits: Logits [batch, classes] at the present weights.
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
    named = _named(regularizers)
    targets = labels
    weight = step.weight(len(images))
    for regularizer in named.values():
        num_images = len(images)
        images, targets = regularizer.transform(images, targets, step)
        if len(images) != num_images:
            step = replace(step, global_size=None)  # what it was no longer tells how many there are
    images = images.detach()
    images.requires_grad_(any(r.needs_image_gradient(step) for r in named.values()))
    evaluations: list[tuple[Tensor, dict[str, Tensor], Tensor]] = []

    def loss() -> Tensor:
        here = replace(step, dropout_state=random_state(images.device))
        with differentiable_attention(images):
            logits = backbone(images.clone())  # which it may change in place, unlike the images
        cross_entropy = weight * F.cross_entropy(logits, targets)
        terms = ((name, r.penalty(logits, images, targets, here)) for name, r in named.items())
        penalties = {name: weight * term for name, term in terms if term is not None}
        evaluations.append((cross_entropy, penalties, logits))
        return sum(penalties.values(), start=cross_entropy)

    minimised = loss
    for regularizer in reversed(named.values()):  # so that the first of the list is outermost
        minimised = regularizer.wrap(minimised, step)
    total = minimised()
    return Terms(total, *evaluations[0], targets)


def penalty_gradient_ratio(terms: Terms, parameters: Iterable[Tensor]) -> Tensor:
    """Computes ||gradient of all penalties|| / ||gradient of the cross-entropy||.

    Above 1 the penalties outweigh the cross-entropy; then the weights of a first layer can blow up.

    Args:
        terms: Terms of a step whose loss is their sum, before ``backward``.
        parameters: Weights that the gradients are taken of.
    """
    weights = [parameter for parameter in parameters if parameter.requires_grad]

    def norm(loss: Tensor) -> Tensor:
        gradients = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
        return torch.stack([g.norm() for g in gradients if g is not None]).norm()

    penalty = norm(torch.stack([*terms.penalties.values()]).sum())
    return penalty / norm(terms.cross_entropy)


def _named(regularizers: Iterable[Regularizer]) -> dict[str, Regularizer]:
    """Names each regularizer; a second of one name gets ``<name>_2`` and so on."""
    named: dict[str, Regularizer] = {}
    for regularizer in regularizers:
        twins = sum(other.name == regularizer.name for other in named.values())
        named[f"{regularizer.name}_{twins + 1}" if twins else regularizer.name] = regularizer
    return named
