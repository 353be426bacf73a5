"""The number of classes, which is given once: by the data."""

import inspect
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from regularizer_collection.datamodules import ImageDataModule
from regularizer_collection.lightning_modules import Classifier

_DEFAULT = inspect.signature(Classifier).parameters["num_classes"].default


def share_num_classes(config: Namespace) -> None:
    """Gives the data's number of classes to all parts of the model, unless they chose another.

    Args:
        config: Config of a command, changed in place.
    """
    num_classes = _num_classes_of(config.get("data"))
    if num_classes is None:
        return
    model = config.get("model.init_args") or Namespace()
    parts = [model.get("backbone"), *(model.get("regularizers") or [])]
    for arguments in (model, *(part.get("init_args") for part in parts if part)):
        if arguments is not None and arguments.get("num_classes") == _DEFAULT:
            arguments["num_classes"] = num_classes


def _num_classes_of(data: Namespace | None) -> Any:
    """Builds the data module, which loads nothing yet, as arguments may decide on its classes."""
    if data is None:
        return None
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--data", type=ImageDataModule)
    built = parser.instantiate_classes(Namespace(data=data.clone())).data
    return getattr(built, "num_classes", None)
