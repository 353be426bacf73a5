"""Command lines of one run, read or run."""

from typing import Any

from regularizer_collection.datamodules import ImageDataModule
from regularizer_collection.lightning_modules import Classifier
from regularizer_collection.runtime.allowed_imports import allowed_imports
from regularizer_collection.runtime.arguments import (
    command_first,
    refuse_seeds,
    short_keys,
    take_allowed_imports,
)
from regularizer_collection.runtime.cli import RegularizerCLI
from regularizer_collection.runtime.config_files import DEFAULTS
from regularizer_collection.runtime.quiet_output import quiet_output

STRICT: dict[str, Any] = {"exit_on_error": False, "allow_abbrev": False}
"""What every parser of the project is: exact, and without an exit of its own."""

_DESCRIPTION = """
fit, validate, test and predict are about one run: cli.py fit --config svb.yaml.
study makes many, one for each variant and seed: cli.py study --seeds 0,1,2.
report writes a page about all that are finished: cli.py report runs.
list shows every regularizer with its formula, source and defaults: cli.py list.
A config may name classes of this project and its packages; --allow_imports NAME, which may be
repeated, adds a package or file of yours.
""".strip()


class ParsedCommand(RegularizerCLI):
    """A command line that is read and not run."""

    def _set_seed(self) -> None:
        """Seeds nothing, and says nothing of it."""

    def instantiate_classes(self) -> None:
        """Makes nothing."""

    def _run_subcommand(self, subcommand: str) -> None:
        """Runs nothing."""


class CommandWithData(ParsedCommand):
    """A command line of which the data alone are loaded."""

    def instantiate_classes(self) -> None:
        """Makes the data module."""
        self.datamodule = self._get(self.parser.instantiate_classes(self.config), "data")


def launch(args: list[str], cls: type[RegularizerCLI] = RegularizerCLI) -> RegularizerCLI:
    """Reads and runs a command line of ``fit``, ``validate``, ``test`` or ``predict``.

    Args:
        args: Arguments after the program's name.
        cls: What becomes of them.
    """
    trusted, own = take_allowed_imports(args)
    refuse_seeds(own)
    commands = cls.subcommands()
    with allowed_imports(trusted), quiet_output():
        return cls(
            model_class=Classifier,
            datamodule_class=ImageDataModule,
            save_config_callback=None,  # the run's record writes it
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            parser_kwargs=STRICT
            | {"description": _DESCRIPTION}
            | {command: STRICT | {"default_config_files": [str(DEFAULTS)]} for command in commands},
            args=short_keys(command_first(own, commands)),
            trusted=trusted,
        )


def config_of(args: list[str]) -> dict[str, Any]:
    """Returns what a command line comes to, of which nothing is made."""
    return launch(args, ParsedCommand).recorded_config()


def data_of(args: list[str]) -> dict[str, str]:
    """Returns the hashes of the images that a command line asks for, whatever its seed."""
    cli = launch(args, CommandWithData)
    hashes = cli.data_fingerprint()
    return {"test": hashes["test"]} if cli.datamodule.val_size else hashes
