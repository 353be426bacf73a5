"""Weights whose scale a batch normalisation takes out again."""

from collections import Counter
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_leaves


class _Output(NamedTuple):
    layer: str
    tensor: Tensor
    node: Node


def normalised_weights(network: nn.Module, images: Tensor) -> dict[str, nn.Parameter]:
    """Finds the weights of layers whose output goes into a batch normalisation and nowhere else.

    The order in which layers are registered does not tell: before the normalisation may stand a
    shortcut or an activation, of which scaling the weight changes what comes out.

    Args:
        network: Network in eval mode.
        images: A batch [batch, channels, height, width] that shows where each output goes.

    Returns:
        Weights [out, ...] by the names of their layers.
    """
    calls: Counter[str] = Counter()
    outputs: dict[int, _Output] = {}
    normalised: list[_Output] = []

    def note_output(layer: str) -> Any:
        def note(module: nn.Module, args: Any, output: Any) -> None:
            calls[layer] += 1
            if isinstance(output, Tensor) and output.grad_fn is not None:
                outputs[id(output)] = _Output(layer, output, output.grad_fn)

        return note

    def note_input(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        entering = args[0] if args else kwargs.get("input")
        found = outputs.get(id(entering))
        if found is not None and found.node is found.tensor.grad_fn:  # else changed in place
            normalised.append(found)

    layers = {
        name: layer
        for name, layer in network.named_modules()
        if isinstance(weight := getattr(layer, "weight", None), nn.Parameter) and weight.ndim >= 2
    }
    hooks = [layer.register_forward_hook(note_output(name)) for name, layer in layers.items()]
    hooks += [
        module.register_forward_pre_hook(note_input, with_kwargs=True)
        for module in network.modules()
        if isinstance(module, _BatchNorm)
    ]
    try:
        with torch.enable_grad():
            copy = images.detach().clone()
            predicted = network(copy.requires_grad_(copy.is_floating_point()))
    finally:
        for hook in hooks:
            hook.remove()
    uses = _uses(predicted)
    direct = Counter(output.layer for output in normalised if uses[output.node] == 1)
    owners = Counter(id(layer.weight) for layer in layers.values())
    return {
        name: layer.weight
        for name, layer in layers.items()
        if 0 < calls[name] == direct[name] and owners[id(layer.weight)] == 1
    }


def _uses(predicted: Any) -> Counter[Node | None]:
    """Counts into how many operations of the graph behind a prediction each result goes."""
    uses: Counter[Node | None] = Counter()
    waiting = [leaf.grad_fn for leaf in tree_leaves(predicted) if isinstance(leaf, Tensor)]
    while waiting:
        node = waiting.pop()
        for source, _ in node.next_functions if node is not None else ():
            uses[source] += 1
            if uses[source] == 1:
                waiting.append(source)
    return uses
