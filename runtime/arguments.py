"""What becomes of the arguments before jsonargparse reads them."""

import argparse
import json
import re
import shlex
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from regularizer_collection.runtime.config_files import find_config

_OF_EACH_FIT = re.compile(
    r"--(model|data|optimizer|lr_scheduler|allow_imports|\w+\.[\w.]+)\+?(=|$)"
)
_OWN_SEED = re.compile(r"--(data|model)(\.init_args)?\.seed(=|$)")
_RANGE = re.compile(r"(\d+)-(\d+)")


def take_allowed_imports(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """Splits off the packages that ``--allow_imports NAME`` trusts.

    They are no key of a config: a file must not grant leave to itself.

    Returns:
        The packages and the other arguments.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--allow_imports", action="append", default=[])
    known, others = parser.parse_known_args(args)
    return known.allow_imports, others


def allowed_imports(packages: Sequence[str]) -> list[str]:
    """Writes the arguments that :func:`take_allowed_imports` splits off."""
    return [arg for package in packages for arg in ("--allow_imports", package)]


def command_first(args: Sequence[str], commands: Collection[str]) -> list[str]:
    """Moves what stands in front of the command behind it, as in ``--config x.yaml fit``."""
    place = next((place for place, arg in enumerate(args) if arg in commands), 0)
    return [*args[place : place + 1], *args[:place], *args[place + 1 :]]


def short_keys(args: Sequence[str]) -> list[str]:
    """Writes LightningCLI's ``--optimizer`` and ``--lr_scheduler`` as keys of the model."""
    return [re.sub(r"^--(optimizer|lr_scheduler)\b", r"--model.\1", arg) for arg in args]


def refuse_seeds(args: Sequence[str]) -> None:
    """Refuses ``--data.seed`` and ``--model.seed``, which the run's seed would override.

    Raises:
        ValueError: If there is one.
    """
    for arg in args:
        if _OWN_SEED.match(arg):
            key = arg.partition("=")[0]
            raise ValueError(f"{key} is always the run's seed; give --seed_everything")


def study_arguments(args: Sequence[str], lists: Collection[str]) -> list[str]:
    """Writes a study's lists as jsonargparse reads them, and gathers what is meant for each fit.

    A list may be given as ``0,1``, as ``0 1``, as ``[0, 1]`` or, of numbers, as ``0-4``.

    Args:
        args: Arguments after ``study``.
        lists: Names of the options that take a list.

    Raises:
        FileNotFoundError: If the study's config does not exist.
    """
    own: list[str] = []
    options: list[str] = []
    for key, values in _grouped(args):
        if _OF_EACH_FIT.match(key):
            options += [key, *values]
        elif key.removeprefix("--") in lists and values:
            items = [item for value in values for item in value.strip("[]").split(",")]
            own.append(f"{key}=[{','.join(map(_written_out, items))}]")
        elif key == "--grid":
            own += [f"--grid+={json.dumps([value])}" for value in values]
        elif key == "--config":
            own += [key, *(str(find_config(value)) for value in values)]
        else:
            own += [key, *values]
    return [*own, f"--options+={json.dumps(options)}"] if options else own


def command_to_type(*args: str) -> str:
    """Returns a command line for the user to type, beginning as this one did.

    Args:
        args: Arguments after the program's name.
    """
    is_installed = Path(sys.argv[0]).stem == "regularizers"
    return f"{'regularizers' if is_installed else 'python cli.py'} {shlex.join(args)}"


def _grouped(args: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yields each option with what stands behind it, up to the next."""
    groups: list[tuple[str, list[str]]] = []
    for arg in args:
        if arg.startswith("--"):
            key, equals, value = arg.partition("=")
            groups.append((key, [value] if equals else []))
        elif groups:
            groups[-1][1].append(arg)
        else:
            groups.append((arg, []))
    yield from groups


def _written_out(item: str) -> str:
    """Writes ``0-4`` as ``0,1,2,3,4``."""
    if ends := _RANGE.fullmatch(item.strip()):
        first, last = map(int, ends.groups())
        return ",".join(map(str, range(first, last + 1)))
    return item
