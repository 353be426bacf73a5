"""What becomes of the arguments before LightningCLI reads them."""

import re

from regularizer_collection.runtime.allowed_imports import check_imports
from regularizer_collection.runtime.config_files import find_config


def prepare_arguments(args: list[str]) -> list[str]:
    """Finds bare config names, names the variant after the first, takes LightningCLI's own keys."""
    prepared, variant = [], None
    for previous, arg in zip(["", *args], args, strict=False):
        if previous == "--config" or arg.startswith("--config="):
            config = find_config(arg.removeprefix("--config="))
            variant = variant or config.stem
            arg = str(config) if previous == "--config" else f"--config={config}"
        prepared.append(re.sub(r"^--(optimizer|lr_scheduler)\b", r"--model.\1", arg))
    # In front of the configs, so that a variant that they name wins.
    return prepared[:1] + (["--variant", variant] if variant else []) + prepared[1:]


def take_allowed_imports(args: list[str]) -> list[str]:
    """Refuses classes of packages that no ``--allow_imports NAME`` names, and takes these out."""
    kept: list[str] = []
    allowed: list[str] = []
    for previous, arg in zip(["", *args], args, strict=False):
        if previous == "--allow_imports" or arg.startswith("--allow_imports="):
            allowed.append(arg.removeprefix("--allow_imports="))
        elif arg != "--allow_imports":
            kept.append(arg)
    check_imports(kept, allowed)
    return kept
