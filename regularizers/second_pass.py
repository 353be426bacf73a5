"""Helpers of regularizers that send a batch through the backbone more than once in a step."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from regularizer_collection.regularizers.regularizer import Loss
from regularizer_collection.regularizers.step import Step


@contextmanager
def same_dropout(device: torch.device) -> Iterator[None]:
    """Sets the random state back at the end, so that the next pass drops the same features."""
    with torch.random.fork_rng([] if device.type == "cpu" else [device], device_type=_kind(device)):
        yield


def random_state(device: torch.device) -> Tensor:
    """Returns the state of the random numbers that dropout takes on a device."""
    if device.type == "cpu":
        return torch.get_rng_state()
    return torch.get_device_module(device).get_rng_state(device)


@contextmanager
def differentiable_attention(images: Tensor) -> Iterator[None]:
    """Has attention computed by products, whose gradients can be differentiated, if images' are.

    The other kernels of ``scaled_dot_product_attention`` have no second derivative.
    """
    if not images.requires_grad:
        yield
        return
    with sdpa_kernel(SDPBackend.MATH):
        yield


@contextmanager
def eval_mode(backbone: nn.Module) -> Iterator[None]:
    """Lends the backbone without dropout and with its running statistics, which do not move."""
    modes = {module: module.training for module in backbone.modules()}
    backbone.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def statistics(backbone: nn.Module) -> dict[str, Tensor]:
    """Copies the buffers, for a pass that must not count in the running statistics."""
    return {name: buffer.clone() for name, buffer in backbone.named_buffers()}


def loss_at(backbone: nn.Module, tensors: Mapping[str, Tensor], loss: Loss) -> Tensor:
    """Evaluates a loss with other weights or buffers in the backbone, which itself keeps its own.

    Activation checkpointing, which runs parts of the backbone again in the backward pass, would
    find its own weights there: gradients at other weights are then wrong.

    Args:
        backbone: Network that ``loss`` uses.
        tensors: Parameters and buffers by their names in the backbone.
        loss: Computes the loss from the backbone.
    """
    replaced = {f"backbone.{name}": tensor for name, tensor in tensors.items()}
    return torch.func.functional_call(_Evaluated(backbone, loss), replaced, ())


def repeated(step: Step, device: torch.device, compute: Loss) -> Tensor:
    """Computes with the features dropped that the pass of the logits dropped; no batch is counted.

    Args:
        step: Where the training stands.
        device: Where the images are.
        compute: Sends images through the backbone of the step.
    """
    with same_dropout(device):
        if step.dropout_state is not None:
            if device.type == "cpu":
                torch.set_rng_state(step.dropout_state)
            else:
                torch.get_device_module(device).set_rng_state(step.dropout_state, device)
        return loss_at(step.backbone, statistics(step.backbone), compute)


class _Evaluated(nn.Module):
    def __init__(self, backbone: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.backbone = backbone
        self.loss = loss

    def forward(self) -> Tensor:
        return self.loss()


def _kind(device: torch.device) -> str:
    return "cuda" if device.type == "cpu" else device.type  # fork_rng always keeps the CPU's
