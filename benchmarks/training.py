"""Training steps and singular value bounding: ours beside what a user would write instead.

Run ``python -m benchmarks.training``. Works are timed in turn within one process, and the medians
are compared, so that a busy machine slows all of them alike.
"""

import copy
import platform
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

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
    network: nn.Module, penalty: Callable[[Tensor, Tensor], Tensor] | None = None
) -> Callable[[], None]:
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


def bounding(
    weights: list[Tensor], bound_: Callable[[Tensor, float], object], repeats: int
) -> Callable[[], list[Tensor]]:
    """Bounds another copy of the weights in each call."""
    copies = [copy.deepcopy(weights) for _ in range(repeats)]

    def work() -> list[Tensor]:
        bounded = copies.pop()
        for weight in bounded:
            bound_(weight, EPS)
        return bounded

    return work


def race(works: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Returns the median seconds of each work, timed in turn after one warm-up each."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(repeats):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.processor()}")
    print("| work | ours (s) | peer (s) | ratio |\n| --- | --- | --- | --- |")

    def row(work: str, seconds: dict[str, float]) -> None:
        ours, peer = seconds["ours"], seconds["peer"]
        print(f"| {work} | {ours:.4f} | {peer:.4f} | {peer / ours:.2f} |", flush=True)

    plain = {"ours": training_step(ResNet18()), "peer": training_step(stock_network())}
    row("training step, peer: torchvision, NCHW", race(plain, 21))
    penalised = {
        "ours": training_step(ResNet18(), our_penalty),
        "peer": training_step(stock_network(), jacobian_reg_penalty),
    }
    row("Jacobian step, peer: torchvision, NCHW, JacobianReg", race(penalised, 11))

    weights = [p.detach() for p in ResNet18().parameters() if p.ndim >= 2]
    repeats = 5
    works = {
        "ours": bounding(weights, bound_singular_values_, repeats + 2),
        "peer": bounding(weights, clamp_by_svd_, repeats + 2),
    }
    row("singular value bounding of all layers, peer: torch.svd", race(works, repeats))
    error = max(
        float((ours - theirs).norm() / theirs.norm())
        for ours, theirs in zip(works["ours"](), works["peer"](), strict=True)
    )
    print(f"\nlargest relative difference of a bounded weight: {error:.1e}")


if __name__ == "__main__":
    main()
