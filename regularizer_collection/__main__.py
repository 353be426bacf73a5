"""The one command: fit, validate, test, predict, study and report."""

import sys
from typing import Any

import yaml
from jsonargparse import ArgumentError, auto_cli
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from regularizer_collection.datamodules import ImageDataModule
from regularizer_collection.experiments.report import write_report
from regularizer_collection.experiments.study import run_study
from regularizer_collection.lightning_modules import Classifier
from regularizer_collection.runtime.allowed_imports import allowed_imports
from regularizer_collection.runtime.arguments import (
    command_first,
    short_keys,
    study_arguments,
    take_allowed_imports,
)
from regularizer_collection.runtime.cli import RegularizerCLI, SaveConfig
from regularizer_collection.runtime.config_files import DEFAULTS
from regularizer_collection.runtime.error_line import error_line
from regularizer_collection.runtime.memory import keep_freed_memory

# What a wrong input raises, in this project or in a library it reaches.
INPUT_ERRORS = (
    ArgumentError,
    ArithmeticError,
    ImportError,
    MemoryError,
    MisconfigurationException,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    yaml.YAMLError,
)

_STUDY_LISTS = ("seeds", "variants")
_DESCRIPTION = """
fit, validate, test and predict are about one run: cli.py fit --config svb.yaml.
study makes many, one for each variant and seed: cli.py study --seeds 0,1,2.
report writes a page about all that are finished: cli.py report runs.
""".strip()
_STRICT: dict[str, Any] = {"exit_on_error": False, "allow_abbrev": False}


def main(args: list[str] | None = None) -> int:
    """Runs a command line and returns the exit code.

    Args:
        args: Arguments after the program's name; None takes those of the process.
    """
    args = (sys.argv[1:] if args is None else args) or ["--help"]
    keep_freed_memory()
    try:
        trusted, own = take_allowed_imports(args)
        with allowed_imports(trusted):
            if args[0] == "study":
                options = study_arguments(args[1:], _STUDY_LISTS)
                return int(auto_cli(run_study, args=options, **_STRICT) > 0)
            if args[0] == "report":
                auto_cli(write_report, args=own[1:], **_STRICT)
                return 0
            commands = RegularizerCLI.subcommands()
            RegularizerCLI(
                Classifier,
                ImageDataModule,
                SaveConfig,
                subclass_mode_model=True,
                subclass_mode_data=True,
                auto_configure_optimizers=False,
                parser_kwargs=_STRICT
                | {"description": _DESCRIPTION}
                | {
                    command: _STRICT | {"default_config_files": [str(DEFAULTS)]}
                    for command in commands
                },
                args=short_keys(command_first(own, commands)),
            )
    except INPUT_ERRORS as error:
        print(
            f"error: {error_line(str(error) or repr(error), [run_study, write_report])}",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
