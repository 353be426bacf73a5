"""One clear line from an error message."""

import inspect
import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any

from pytorch_lightning import Trainer

from regularizer_collection.backbones import LeNet, ResNet18
from regularizer_collection.datamodules import ImageDataModule
from regularizer_collection.lightning_modules import Classifier
from regularizer_collection.runtime.measurements import MEASUREMENTS

# Lines with which jsonargparse frames the one that says what is wrong.
_FRAME = re.compile(
    r"^(-? ?Does not validate|Subtypes:|Errors:|Given value|- Expected a <class 'NoneType'>|$)"
)
_UNKNOWN_KEY = re.compile(
    r"Option '([\w.]+)' is not accepted|unrecognized arguments: --([\w.]+)|Key '([\w.]+)' is not"
)
_DENIED_IMPORT = re.compile(r"Importing '((\w+)[\w.]*)' is not allowed, denied by .* to allow it\.")
_KEY = re.compile(r'[Kk]ey "([\w.]+)"')
# numpy's, torch's on the CPU and on a GPU, and those of Python and C++.
_OUT_OF_MEMORY = re.compile("Unable to allocate|can't allocate|out of memory|MemoryError|bad_alloc")


def error_line(message: str, commands: Iterable[Callable[..., Any]] = ()) -> str:
    """Condenses a message to what is wrong, and adds what to do where only we can know it.

    Args:
        message: Text of an exception.
        commands: Functions whose arguments are keys of the command line too.
    """
    lines = [line.strip() for line in message.splitlines()]
    kept = [line.removeprefix("- ") for line in lines if not _FRAME.match(line)]
    text = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", " ".join(kept))
    if denied := _DENIED_IMPORT.search(text):
        keys = _KEY.findall(text[: denied.start()])
        text = (
            f"{': '.join(keys)}: {denied[1]} is of no package that a config may use; "
            f"if you trust it, give --allow_imports {denied[2]}"
        )
    if unknown := _UNKNOWN_KEY.search(text):
        key = next(group for group in unknown.groups() if group).rpartition(".")[2]
        known = _known_keys(commands)  # a key that another class has is not misspelt
        if key not in known and (nearest := get_close_matches(key, known, 1)):
            text += f"; did you mean {nearest[0]}?"
    if is_out_of_memory(text):
        text += "; give a smaller --data.batch_size, or more memory"
    return text


def is_out_of_memory(message: str) -> bool:
    """Tells whether a message says that memory ran out, whichever library wrote it."""
    return _OUT_OF_MEMORY.search(message) is not None


def _known_keys(commands: Iterable[Callable[..., Any]]) -> set[str]:
    known: list[Callable[..., Any]] = [
        Trainer,
        ResNet18,
        LeNet,
        *MEASUREMENTS.values(),
        *commands,
        *_family(Classifier),
        *_family(ImageDataModule),
    ]
    keys = {"model", "data", "trainer", "config", "ckpt_path", "seed_everything", "variant"}
    return keys.union(*(inspect.signature(item).parameters for item in known))


def _family(cls: type) -> list[type]:
    children: list[type] = cls.__subclasses__()
    return [cls, *(member for child in children for member in _family(child))]
