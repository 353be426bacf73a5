"""What a step cannot take less than: its arithmetic, at the best rate of this machine."""

import time
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.race import Work, race


def live_multiply_adds(network: nn.Module, image: Tensor) -> int:
    """Counts the multiply-adds of a forward pass whose both factors are data, not padding.

    Args:
        network: Network of convolutions and linear layers.
        image: One input [1, channels, height, width].
    """
    total = 0

    def count(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            per_map = 1
            for axis in (0, 1):
                kernel, stride = layer.kernel_size[axis], layer.stride[axis]
                starts = range(output.shape[axis + 2])
                taps = (
                    output_index * stride + tap - int(layer.padding[axis])
                    for output_index in starts
                    for tap in range(kernel)
                )
                per_map *= sum(0 <= pixel < inputs[0].shape[axis + 2] for pixel in taps)
            total += per_map * layer.in_channels * layer.out_channels
        elif isinstance(layer, nn.Linear):
            total += layer.in_features * layer.out_features

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    with torch.no_grad():
        network(image)
    for hook in hooks:
        hook.remove()
    return total


def best_rate(device: str, repeats: int) -> float:
    """Returns the most multiply-adds in a second that a float32 product or convolution reaches."""
    (timed,) = race({"": partial(_rate_of_each, device)}, {}, repeats).values()
    return cast(float, timed.value)


def _rate_of_each(device: str) -> Work:
    works = [(_product(n, device), n**3) for n in (1024, 2048)]
    works += [
        (_convolution(channels, size, device), 100 * 9 * size**2 * channels**2)
        for channels, size in ((64, 32), (128, 16), (256, 16))
    ]
    best = 0.0

    def work() -> float:
        nonlocal best
        for product, adds in works:
            start = time.perf_counter()
            product()
            if device != "cpu":
                torch.cuda.synchronize()
            best = max(best, adds / (time.perf_counter() - start))
        return best

    return work


def _product(size: int, device: str) -> Work:
    left, right = torch.randn(2, size, size, device=device)
    out = torch.empty(size, size, device=device)
    return lambda: torch.mm(left, right, out=out)


def _convolution(channels: int, size: int, device: str) -> Work:
    maps = torch.randn(100, channels, size, size, device=device)
    maps = maps.contiguous(memory_format=torch.channels_last)
    weight = torch.randn(channels, channels, 3, 3, device=device)
    weight = weight.contiguous(memory_format=torch.channels_last)

    @torch.no_grad()
    def work() -> None:
        F.conv2d(maps, weight, padding=1)

    return work
