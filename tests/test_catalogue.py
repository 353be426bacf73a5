import inspect

import pytest

from regularizer_collection import regularizers
from regularizer_collection.__main__ import main
from regularizer_collection.regularizers import Penalty, Regularizer

pytestmark = pytest.mark.counted


def test_every_regularizer_is_listed_with_formula_source_and_defaults(capsys):
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    found = {
        name: cls
        for name, cls in vars(regularizers).items()
        if inspect.isclass(cls) and issubclass(cls, Regularizer)
    }
    for name, cls in found.items():
        if cls not in (Regularizer, Penalty):
            assert f"\n{name}: " in f"\n{printed}"
            assert inspect.getdoc(cls).splitlines()[0] in printed
    assert "JacobianPenalty: Jacobian regularization (Hoffman, Roberts, Yaida 2019" in printed
    assert "coefficient=0.01, num_projections=1, every_n_steps=1" in printed


def test_the_help_names_every_command_with_an_example(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    for example in ("cli.py fit --config", "cli.py study", "cli.py report", "cli.py list"):
        assert example in printed
