"""The one command: fit, validate, test, predict, study, report and list."""

import signal
import sys

import torch.distributed as dist
from jsonargparse import auto_cli
from pytorch_lightning.utilities.exceptions import SIGTERMException

from regularizer_collection.catalogue import print_catalogue
from regularizer_collection.experiments.report import write_report
from regularizer_collection.experiments.study import run_study
from regularizer_collection.runtime.arguments import study_arguments
from regularizer_collection.runtime.error_line import error_line
from regularizer_collection.runtime.error_log import leave_traceback
from regularizer_collection.runtime.launch import STRICT, launch
from regularizer_collection.runtime.memory import keep_freed_memory

_STUDY_LISTS = ("seeds", "variants")


def main(args: list[str] | None = None) -> int:
    """Runs a command line and returns the exit code.

    Args:
        args: Arguments after the program's name; None takes those of the process.
    """
    args = (sys.argv[1:] if args is None else args) or ["--help"]
    keep_freed_memory()
    try:
        if args[0] == "study":
            options = study_arguments(args[1:], _STUDY_LISTS)
            return int(auto_cli(run_study, args=options, **STRICT) > 0)
        if args[0] == "report":
            auto_cli(write_report, args=args[1:], **STRICT)
        elif args[0] == "list":
            auto_cli(print_catalogue, args=args[1:], **STRICT)
        else:
            launch(args)
    except SystemExit as stop:
        if isinstance(stop, SIGTERMException):
            return _stopped("stopped by SIGTERM; --ckpt_path last continues", signal.SIGTERM)
        if isinstance(stop.__context__, KeyboardInterrupt):  # which Lightning answers by an exit
            return _stopped("stopped", signal.SIGINT)
        raise
    except KeyboardInterrupt:
        return _stopped("stopped", signal.SIGINT)
    except Exception as error:
        says_too_little = isinstance(error, KeyError) or not str(error)
        said = repr(error) if says_too_little else str(error)
        line = error_line(said, [run_study, write_report])
        (path,) = getattr(error, "__notes__", None) or [leave_traceback(error)]
        print(f"error: {line}" + (f"; traceback: {path}" if path else ""), file=sys.stderr)
        return 2
    return 0


def _stopped(said: str, number: int) -> int:
    """Returns the exit code, which of several processes that met the first one tells."""
    if dist.is_initialized() and dist.get_rank():
        return 0  # Lightning kills the first where another ends with a code of its own
    print(said, file=sys.stderr)
    return 128 + number


if __name__ == "__main__":
    sys.exit(main())
