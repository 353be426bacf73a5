"""What a network is made of."""

from typing import Any

from torch import nn

_SETTINGS = (
    *("kernel_size", "stride", "padding", "dilation", "groups", "padding_mode", "ceil_mode"),
    *("eps", "affine", "track_running_stats", "in_features", "out_features", "output_size"),
)


def structure(network: nn.Module) -> list[tuple[Any, ...]]:
    """Lists each layer with its kind, its settings and the shapes of its own weights.

    What training or a trainer changes stays out: values, modes, the momentum of statistics, and
    whether batch normalisation is synchronised.

    Args:
        network: Any network.
    """
    layers: list[tuple[Any, ...]] = []
    for name, module in network.named_modules():
        is_norm = isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm)
        kind = nn.BatchNorm2d if is_norm else type(module)
        settings = [getattr(module, setting, None) for setting in _SETTINGS]
        shapes = {key: tuple(w.shape) for key, w in module.named_parameters(recurse=False)}
        layers.append((name, kind, *settings, shapes))
    return layers
