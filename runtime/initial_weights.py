"""Weights that a training begins with."""

import hashlib
from pathlib import Path

import torch
from torch import nn

from regularizer_collection.runtime.checkpoint_io import load_tensors


def file_hash(path: Path) -> str:
    """Returns what tells a file of weights from another, whatever its name.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; give --initial_weights the path of a state dict")
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def load_initial_weights(backbone: nn.Module, path: Path) -> None:
    """Loads a checkpoint of ours, or a plain state dict of the backbone's names.

    Args:
        backbone: Network that takes the weights.
        path: File that ``torch.save`` wrote; no code in it is run.

    Raises:
        ValueError: If it holds no weights, or those of another network.
    """
    content = load_tensors(path, map_location="cpu")
    weights = content.get("state_dict", content) if isinstance(content, dict) else {}
    if any(name.startswith("backbone.") for name in weights):
        ours = (name for name in weights if name.startswith("backbone."))
        weights = {name.removeprefix("backbone."): weights[name] for name in ours}
    expected = backbone.state_dict()
    # A counter of batch normalisation, which older versions of torch did not write.
    needed = {name for name in expected if not name.endswith("num_batches_tracked")}
    missing = sorted(needed - set(weights))
    others = sorted(
        name
        for name in set(expected) & set(weights)
        if not isinstance(weights[name], torch.Tensor)
        or weights[name].shape != expected[name].shape
    )
    if missing or others:
        which = f"has no {missing[0]}" if missing else f"has another shape of {others[0]}"
        raise ValueError(
            f"{path} {which}, which {type(backbone).__name__} needs; give weights of that network"
        )
    backbone.load_state_dict({name: weights.get(name, expected[name]) for name in expected})
