"""Training steps of batch 100: ours beside what a user would write instead."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from benchmarks.limit import best_rate, live_multiply_adds
from benchmarks.race import Work, race
from benchmarks.table import Row
from regularizer_collection.backbones import ResNet18
from regularizer_collection.functional.jacobian import jacobian_norm_squared

LAMBDA = 0.01
BATCH_SIZE = 100
EVERY = 4

# In forward passes: the backward pass costs two, the penalty's gradient with respect to the images
# one, and differentiating it another two.
STEP, JACOBIAN_STEP = 3, 6


def stock_network() -> nn.Module:
    """The network of torchvision with the dropout of the protocol."""
    network = torchvision.models.resnet18(num_classes=100)
    network.fc = nn.Sequential(nn.Dropout(0.5), network.fc)
    return network


def stock_channels_last_network() -> nn.Module:
    return stock_network().to(memory_format=torch.channels_last)


def jacobian_reg_penalty(network: nn.Module, images: Tensor, logits: Tensor) -> Tensor:
    """The penalty as facebookresearch/jacobian_regularizer computes it, with one projection."""
    batch, classes = logits.shape
    vectors = F.normalize(torch.randn(batch, classes, device=logits.device))
    flat_gradient = torch.autograd.grad(
        logits.reshape(-1), images, vectors.reshape(-1), retain_graph=True, create_graph=True
    )[0]
    return classes * torch.norm(flat_gradient) ** 2 / batch / 2


def two_forward_penalty(network: nn.Module, images: Tensor, logits: Tensor) -> Tensor:
    """The same on logits of its own, as a penalty that is handed the model computes it."""
    return jacobian_reg_penalty(network, images, network(images))


def our_penalty(network: nn.Module, images: Tensor, logits: Tensor) -> Tensor:
    return jacobian_norm_squared(logits, images).mean() / 2


def training_step(
    make_network: Callable[[], nn.Module],
    penalty: Callable[[nn.Module, Tensor, Tensor], Tensor] | None = None,
    *,
    steps: int = 1,
    batch_size: int = BATCH_SIZE,
    device: str = "cpu",
    bf16: bool = False,
) -> Work:
    """Builds some steps, the first of them with the penalty."""
    network = make_network().to(device)
    images = torch.randn(batch_size, 3, 32, 32, device=device)
    if make_network is not stock_network:
        images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(100, (batch_size,), device=device)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9)

    def step(penalised: bool) -> None:
        inputs = images.detach().requires_grad_(penalised)
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            logits = network(inputs)
            loss = F.cross_entropy(logits, labels)
            if penalised and penalty is not None:
                loss = loss + LAMBDA * penalty(network, inputs, logits)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def work() -> None:
        for number in range(steps):
            step(penalised=penalty is not None and number == 0)

    return work


def rows(device: str, quick: bool) -> Iterator[Row]:
    """Times plain and Jacobian steps."""
    on = "" if device == "cpu" else f", {device}"
    forward = live_multiply_adds(ResNet18().eval(), torch.zeros(1, 3, 32, 32)) * BATCH_SIZE
    rate = best_rate(device, repeats=5 if quick else 10)
    step = partial(training_step, device=device)
    repeats = 6 if quick else 21

    peers = {
        "NCHW": partial(step, stock_network),
        "NHWC": partial(step, stock_channels_last_network),
    }
    lacks_bf16 = bf16_remark(device)
    if not lacks_bf16:  # without the instructions torch takes a minute a step
        peers["NCHW, bf16"] = partial(step, stock_network, bf16=True)
    timed = race(
        {"ours": partial(step, ResNet18), "bf16": partial(step, ResNet18, bf16=True)},
        peers,
        repeats,
    )
    seconds, limit = timed["ours"].seconds, STEP * forward / rate
    remark = f"limit: {forward / BATCH_SIZE / 1e6:.1f}M live multiply-adds, {rate / 1e9:.0f}G/s"
    plain = f"training step{on}"
    yield Row(plain, seconds, "torchvision", timed["NCHW"].seconds, limit, remark=remark)
    yield Row(plain, seconds, "torchvision, channels_last", timed["NHWC"].seconds, limit)
    seconds = timed["bf16"].seconds
    plain = f"training step, bf16-mixed{on}"
    yield Row(plain, seconds, "torchvision, float32", timed["NCHW"].seconds, remark=lacks_bf16)
    if not lacks_bf16:
        yield Row(plain, seconds, "torchvision, bf16-mixed", timed["NCHW, bf16"].seconds)

    timed = race(
        {
            "ours": partial(step, ResNet18, our_penalty),
            "every 4th": partial(step, ResNet18, our_penalty, steps=EVERY),
            "bf16": partial(step, ResNet18, our_penalty, bf16=True),
        },
        {
            "JacobianReg": partial(step, stock_network, jacobian_reg_penalty),
            "two forward": partial(step, stock_network, two_forward_penalty),
        },
        repeats // 3,
    )
    seconds, limit = timed["ours"].seconds, JACOBIAN_STEP * forward / rate
    peer = timed["JacobianReg"].seconds
    jacobian = f"Jacobian step{on}"
    yield Row(jacobian, seconds, "torchvision, JacobianReg", peer, limit)
    bf16 = timed["bf16"].seconds
    work = f"Jacobian step, bf16-mixed{on}"
    yield Row(work, bf16, "torchvision, JacobianReg, float32", peer, remark=lacks_bf16)
    two_forward = timed["two forward"].seconds
    yield Row(jacobian, seconds, "torchvision, two forward passes", two_forward, limit)
    yield Row(
        f"Jacobian step, penalty every {EVERY}th step{on}",
        timed["every 4th"].seconds / EVERY,
        "torchvision, JacobianReg in every step",
        peer,
        (JACOBIAN_STEP + (EVERY - 1) * STEP) / EVERY * forward / rate,
    )


def bf16_remark(device: str) -> str:
    """Says where the processor has no instructions for it, so that the row means little."""
    cpuinfo = Path("/proc/cpuinfo")
    has_none = device == "cpu" and cpuinfo.exists() and "bf16" not in cpuinfo.read_text()
    return "this processor has no bfloat16 instructions" if has_none else ""
