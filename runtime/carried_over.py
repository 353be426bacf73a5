"""What a class that is named in place of a default one takes over from it."""

import inspect
from importlib import import_module
from typing import Any

from jsonargparse import Namespace

_PARTS = {
    "--model": "model",
    "--model.backbone": "model.init_args.backbone",
    "--optimizer": "model.init_args.optimizer",
    "--lr_scheduler": "model.init_args.lr_scheduler",
    "--data": "data",
}
"""Keys of the config that name a class, by the option that sets them."""
_SHARED = ("num_classes", "seed")  # which the run gives to all its parts


def carried_over(config: Namespace, defaults: Namespace) -> list[str]:
    """Tells which arguments of a class are those of the default class and not its own.

    jsonargparse keeps the value of every argument that both classes have, so that ``--optimizer
    torch.optim.AdamW`` has the learning rate and the weight decay of the default SGD.

    Args:
        config: Config of a command.
        defaults: The same with nothing but defaults.

    Returns:
        A sentence for each such class.
    """
    sentences = []
    for option, part in _PARTS.items():
        ours, default = config.get(part), defaults.get(part)
        if not isinstance(ours, Namespace) or ours.get("class_path") == default.class_path:
            continue
        own = own_defaults(ours.class_path)
        kept = {
            argument: value
            for argument, value in vars(ours.get("init_args") or Namespace()).items()
            if argument in own
            and argument not in _SHARED
            and value != own[argument]
            and value == default.init_args.get(argument)
        }
        if kept:
            values = ", ".join(f"{key} {kept[key]} (its own {own[key]})" for key in kept)
            name, usual = (cls.class_path.rpartition(".")[2] for cls in (ours, default))
            sentences.append(
                f"{name} has, as {usual} does by default, {values}; give "
                f"{option}.{next(iter(kept))} for another"
            )
    return sentences


def own_defaults(class_path: str) -> dict[str, Any]:
    """Returns the defaults of the arguments that stand in a class's own signature."""
    module, _, name = class_path.rpartition(".")
    parameters = inspect.signature(getattr(import_module(module), name)).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}
