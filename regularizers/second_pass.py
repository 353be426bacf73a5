"""Helpers of regularizers that send a batch through the backbone more than once in a step."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from regularizer_collection.regularizers.regularizer import Loss


@contextmanager
def same_dropout(device: torch.device) -> Iterator[None]:
    """Sets the random state back at the end, so that the next pass drops the same features."""
    with torch.random.fork_rng([] if device.type == "cpu" else [device], device_type=_kind(device)):
        yield


def statistics(backbone: nn.Module) -> dict[str, Tensor]:
    """Copies the buffers, for a pass that must not count in the running statistics."""
    return {name: buffer.clone() for name, buffer in backbone.named_buffers()}


def loss_at(backbone: nn.Module, tensors: Mapping[str, Tensor], loss: Loss) -> Tensor:
    """Evaluates a loss with other weights or buffers in the backbone, which itself keeps its own.

    Args:
        backbone: Network that ``loss`` uses.
        tensors: Parameters and buffers by their names in the backbone.
        loss: Computes the loss from the backbone.
    """
    replaced = {f"backbone.{name}": tensor for name, tensor in tensors.items()}
    return torch.func.functional_call(_Evaluated(backbone, loss), replaced, ())


class _Evaluated(nn.Module):
    def __init__(self, backbone: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.backbone = backbone
        self.loss = loss

    def forward(self) -> Tensor:
        return self.loss()


def _kind(device: torch.device) -> str:
    return "cuda" if device.type == "cpu" else device.type  # fork_rng always keeps the CPU's
