"""What there is to choose from, in the words of the classes themselves."""

import inspect
import sys

from regularizer_collection import regularizers
from regularizer_collection.regularizers import Penalty, Regularizer


def print_catalogue() -> None:
    """Lists every regularizer with its formula, source and defaults."""
    for name in regularizers.__all__:
        cls = getattr(regularizers, name)
        is_one = inspect.isclass(cls) and issubclass(cls, Regularizer)
        if is_one and cls not in (Regularizer, Penalty):
            source = _first_line(sys.modules[cls.__module__])
            print(f"{name}: {source}")
            print(f"  {_first_line(cls)}")
            print(f"  {_defaults(cls)}")
    print("Add one to any variant: cli.py fit --config no_reg.yaml --model.regularizers+ NAME")
    print("                        --model.regularizers.KEY VALUE --variant A_NAME_FOR_THE_RUN")


def _first_line(documented: object) -> str:
    return (inspect.getdoc(documented) or "").partition("\n")[0]


def _defaults(cls: type[Regularizer]) -> str:
    parameters = inspect.signature(cls).parameters.values()
    return ", ".join(f"{p.name}={_short(p.default)}" for p in parameters)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
