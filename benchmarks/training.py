"""Training steps and singular value bounding: ours beside what a user would write instead.

Run ``python -m benchmarks.training``.
"""

import platform
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from benchmarks.race import Work, race
from functional.jacobian import jacobian_norm_squared
from functional.singular_values import bound_singular_values_
from lightning_modules import ResNet18

EPS = 0.05
LAMBDA = 0.01


def stock_network() -> nn.Module:
    network = torchvision.models.resnet18(num_classes=100)
    network.fc = nn.Sequential(nn.Dropout(0.5), network.fc)
    return network


def jacobian_reg_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """The penalty as facebookresearch/jacobian_regularizer computes it, with one projection."""
    batch, classes = logits.shape
    vectors = F.normalize(torch.randn(batch, classes, device=logits.device))
    flat_gradient = torch.autograd.grad(
        logits.reshape(-1), images, vectors.reshape(-1), retain_graph=True, create_graph=True
    )[0]
    return classes * torch.norm(flat_gradient) ** 2 / batch / 2


def our_penalty(logits: Tensor, images: Tensor) -> Tensor:
    return jacobian_norm_squared(logits, images).mean() / 2


def training_step(
    make_network: Callable[[], nn.Module],
    penalty: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Work:
    network = make_network()
    images = torch.randn(100, 3, 32, 32)
    if isinstance(network, ResNet18):
        images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(100, (100,))
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9)

    def step() -> None:
        inputs = images.detach().requires_grad_(penalty is not None)
        logits = network(inputs)
        loss = F.cross_entropy(logits, labels)
        if penalty is not None:
            loss = loss + LAMBDA * penalty(logits, inputs)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def clamp_by_svd_(weight: Tensor, eps: float) -> None:
    u, sigma, v = torch.svd(weight.flatten(1))
    weight.copy_(((u * sigma.clamp(1 / (1 + eps), 1 + eps)) @ v.T).view_as(weight))


def bounding(bound_: Callable[[Tensor, float], object]) -> Work:
    """Bounds the same weights again and again."""
    initial = initial_weights()
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


def main() -> None:
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.processor()}")
    print("| work | ours (s) | peer (s) | ratio |\n| --- | --- | --- | --- |")

    def row(work: str, ours: Callable[[], Work], peer: Callable[[], Work], repeats: int) -> None:
        timed = race({"ours": ours}, {"peer": peer}, repeats)
        us, them = timed["ours"].seconds, timed["peer"].seconds
        print(f"| {work} | {us:.4f} | {them:.4f} | {them / us:.2f} |", flush=True)

    row(
        "training step, peer: torchvision, NCHW",
        partial(training_step, ResNet18),
        partial(training_step, stock_network),
        31,
    )
    row(
        "Jacobian step, peer: torchvision, NCHW, JacobianReg",
        partial(training_step, ResNet18, our_penalty),
        partial(training_step, stock_network, jacobian_reg_penalty),
        15,
    )
    row(
        "singular value bounding of all layers, peer: torch.svd",
        partial(bounding, bound_singular_values_),
        partial(bounding, clamp_by_svd_),
        5,
    )
    print(f"\nlargest relative difference of a bounded weight: {largest_difference():.1e}")


if __name__ == "__main__":
    main()
