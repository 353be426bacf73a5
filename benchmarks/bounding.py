"""Singular value bounding of all layers: ours beside the decomposition it stands for."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from benchmarks.race import Work, race
from benchmarks.table import Row
from benchmarks.training import training_step
from regularizer_collection.backbones import ResNet18
from regularizer_collection.functional.singular_values import bound_singular_values_

EPS = 0.05
EVERY_N_STEPS = 600


def clamp_by_svd_(weight: Tensor, eps: float) -> None:
    u, sigma, v = torch.svd(weight.flatten(1))
    weight.copy_(((u * sigma.clamp(1 / (1 + eps), 1 + eps)) @ v.T).view_as(weight))


def clamp_by_linalg_svd_(weight: Tensor, eps: float) -> None:
    u, sigma, vh = torch.linalg.svd(weight.flatten(1), full_matrices=False)
    weight.copy_(((u * sigma.clamp(1 / (1 + eps), 1 + eps)) @ vh).view_as(weight))


def bounding(bound_: Callable[[Tensor, float], object], device: str) -> Work:
    """Bounds the same weights again and again."""
    initial = [weight.to(device) for weight in initial_weights()]
    weights = [torch.empty_like(weight) for weight in initial]

    def work() -> None:
        for weight, source in zip(weights, initial, strict=True):
            bound_(weight.copy_(source), EPS)

    return work


def initial_weights() -> list[Tensor]:
    torch.manual_seed(0)
    return [p.detach() for p in ResNet18().parameters() if p.ndim >= 2]


def largest_difference() -> float:
    """Bounds all layers in both ways and compares."""
    ours, theirs = initial_weights(), initial_weights()
    for our, their in zip(ours, theirs, strict=True):
        bound_singular_values_(our, EPS)
        clamp_by_svd_(their, EPS)
    return max(
        float((our - their).norm() / their.norm()) for our, their in zip(ours, theirs, strict=True)
    )


def rows(device: str, quick: bool) -> Iterator[Row]:
    """Times the bounding, and compares it with the steps between two of them."""
    on = "" if device == "cpu" else f", {device}"
    timed = race(
        {
            "ours": partial(bounding, bound_singular_values_, device),
            "step": partial(training_step, ResNet18, device=device),
        },
        {
            "torch.svd": partial(bounding, clamp_by_svd_, device),
            "torch.linalg.svd": partial(bounding, clamp_by_linalg_svd_, device),
        },
        repeats=1 if quick else 3,
        warm_ups=1,
    )
    seconds = timed["ours"].seconds
    work = f"singular value bounding of all layers{on}"
    remark = f"a weight differs by {largest_difference():.0e} at most"
    for peer in ("torch.svd", "torch.linalg.svd"):
        yield Row(work, seconds, peer, timed[peer].seconds, remark=remark)
    share = 100 * seconds / (EVERY_N_STEPS * timed["step"].seconds)
    yield Row(f"its share of {EVERY_N_STEPS} steps{on}", share, unit="%")
