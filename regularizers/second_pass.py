"""Helpers of regularizers that send a batch through the backbone more than once in a step."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
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

    The backward pass finds them there too: with activation checkpointing it computes anew what the
    backbone did.

    Args:
        backbone: Network that ``loss`` uses.
        tensors: Parameters and buffers by their names in the backbone.
        loss: Computes the loss from the backbone.
    """
    value = _computed_at(backbone, tensors, loss)
    leaves = _leaves(value)

    def gradients(grad: Tensor) -> Sequence[Tensor]:
        return torch.autograd.grad(value, leaves, grad, create_graph=torch.is_grad_enabled())

    def gradients_there(grad: Tensor) -> Sequence[Tensor]:
        return _computed_at(backbone, tensors, lambda: gradients(grad))

    return _DifferentiatedBy.apply(gradients_there, value.detach(), *leaves)


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
        return _computed_at(step.backbone, statistics(step.backbone), compute)


class _Computed(nn.Module):
    def __init__(self, backbone: nn.Module, compute: Callable[[], Any]) -> None:
        super().__init__()
        self.backbone = backbone
        self.compute = compute

    def forward(self) -> Any:
        return self.compute()


def _computed_at(
    backbone: nn.Module, tensors: Mapping[str, Tensor], compute: Callable[[], Any]
) -> Any:
    replaced = {f"backbone.{name}": tensor for name, tensor in tensors.items()}
    return torch.func.functional_call(_Computed(backbone, compute), replaced, ())


class _DifferentiatedBy(Function):
    """A value whose gradients, of a graph of its own, a function computes."""

    @staticmethod
    def forward(
        ctx: Any,
        gradients: Callable[[Tensor], Sequence[Tensor]],
        value: Tensor,
        *leaves: Tensor,
    ) -> Tensor:
        ctx.gradients = gradients
        return value.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *ctx.gradients(grad)


def _leaves(value: Tensor) -> list[Tensor]:
    """Finds the tensors at which the graph of a value begins."""
    leaves, seen, waiting = [], {None}, [value.grad_fn]
    while waiting:
        node: Any = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting += [parent for parent, _ in node.next_functions]
            if not node.next_functions:
                leaves.append(node.variable)
    return leaves


def _kind(device: torch.device) -> str:
    return "cuda" if device.type == "cpu" else device.type  # fork_rng always keeps the CPU's
