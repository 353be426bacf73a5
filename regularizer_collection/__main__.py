"""The one command: fit, validate, test, predict, study and report."""

import json
import re
import sys
from typing import Any

import yaml
from jsonargparse import ArgumentError, auto_cli
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from regularizer_collection.datamodules import ImageDataModule
from regularizer_collection.experiments.report import write_report
from regularizer_collection.experiments.study import run_study
from regularizer_collection.lightning_modules import Classifier
from regularizer_collection.runtime.arguments import prepare_arguments, take_allowed_imports
from regularizer_collection.runtime.cli import RegularizerCLI, SaveConfig
from regularizer_collection.runtime.config_files import DEFAULTS, find_config
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

_FIT_OPTION = re.compile(
    r"--(model|data|trainer|evaluation|optimizer|lr_scheduler|allow_imports)\b"
)
_STRICT: dict[str, Any] = {"exit_on_error": False, "allow_abbrev": False}


def main(args: list[str] | None = None) -> int:
    """Runs a command line and returns the exit code.

    Args:
        args: Arguments after the program's name; None takes those of the process.
    """
    args = sys.argv[1:] if args is None else args
    keep_freed_memory()
    try:
        if args[:1] == ["study"]:
            return int(auto_cli(run_study, args=_study_arguments(args[1:]), **_STRICT) > 0)
        if args[:1] == ["report"]:
            auto_cli(write_report, args=args[1:], **_STRICT)
            return 0
        RegularizerCLI(
            Classifier,
            ImageDataModule,
            SaveConfig,
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            parser_kwargs=_STRICT
            | {
                command: _STRICT | {"default_config_files": [str(DEFAULTS)]}
                for command in RegularizerCLI.subcommands()
            },
            args=take_allowed_imports(prepare_arguments(args)),
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


def _study_arguments(args: list[str]) -> list[str]:
    """Writes lists as jsonargparse reads them, and passes on what belongs to each fit."""
    own: list[str] = []
    options: list[str] = []
    target = own
    for previous, arg in zip(["", *args], args, strict=False):
        if arg.startswith("--"):
            target = options if _FIT_OPTION.match(arg) else own
        if previous == "--config" or arg.startswith("--config="):
            config = str(find_config(arg.removeprefix("--config=")))
            arg = config if previous == "--config" else f"--config={config}"
        elif previous in ("--seeds", "--variants") and not arg.startswith("["):
            arg = f"[{arg}]"
        target.append(arg)
    return [*own, f"--options+={json.dumps(options)}"] if options else own


if __name__ == "__main__":
    sys.exit(main())
