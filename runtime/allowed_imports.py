"""Which packages a config may import from."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from jsonargparse import set_parsing_settings

ALLOWED = frozenset(
    (
        *("torch", "torchvision", "torchmetrics", "pytorch_lightning", "lightning_fabric"),
        *("regularizer_collection", "backbones", "callbacks", "datamodules", "functional"),
        *("lightning_modules", "regularizers"),
    )
)


@contextmanager
def allowed_imports(packages: Sequence[str] = ()) -> Iterator[None]:
    """Lets the configs that are parsed within name classes of trusted packages alone.

    A config can name any class, and importing a module runs it. jsonargparse asks where it imports
    what a value names, however the value came there.

    Args:
        packages: Packages trusted beside :data:`ALLOWED`; they are looked for in the current
            folder too.

    Raises:
        ValueError: If a package's name is no name.
    """
    added = sorted(set(packages) - ALLOWED)
    set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=[*ALLOWED, *added])
    here = os.getcwd()
    if is_hidden := bool(added) and here not in sys.path:
        sys.path.append(here)
    try:
        yield
    finally:
        set_parsing_settings(import_path_denylist=added)
        if is_hidden:
            sys.path.remove(here)
