import hashlib
import inspect
import sys
from functools import partial
from pathlib import Path

import pytest

from regularizer_collection.regularizers import Mixup
from regularizer_collection.runtime import own_code
from regularizer_collection.runtime.own_code import own_code_hashes


@pytest.fixture(autouse=True)
def committed(monkeypatch):
    monkeypatch.setattr(own_code, "changed_files", set)


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    """A file with a class, imported as ``own_losses``."""
    path = tmp_path / "own_losses.py"
    path.write_text("class Loss: ...")
    monkeypatch.syspath_prepend(tmp_path)
    __import__("own_losses")
    yield path
    del sys.modules["own_losses"]


def test_each_file_that_defines_what_a_config_names_is_hashed_wherever_it_is_named(own_module):
    expected = {"own_losses": hashlib.sha256(own_module.read_bytes()).hexdigest()[:16]}
    for config in (
        {"class_path": "own_losses.Loss"},
        {"regularizers": [{"class_path": "own_losses.Loss", "init_args": {}}]},
        {"backbone": "own_losses.Loss"},
        {"loss": sys.modules["own_losses"].Loss},  # an object, as a function in a config is
        {"loss": partial(sys.modules["own_losses"].Loss, 1)},
    ):
        assert own_code_hashes({"model": config}) == expected


def test_what_a_package_only_passes_on_is_hashed_with_all_that_it_inherits(tmp_path, monkeypatch):
    package = tmp_path / "own_package"
    package.mkdir()
    (package / "__init__.py").write_text("from own_package.net import Net")
    (package / "net.py").write_text(
        "from abc import ABC\nfrom own_package.base import Base\nclass Net(Base, ABC): ..."
    )
    (package / "base.py").write_text("from torch import nn\nclass Base(nn.Module): ...")
    monkeypatch.syspath_prepend(tmp_path)
    __import__("own_package")
    names = ("own_package", "own_package.base", "own_package.net")
    try:
        assert sorted(own_code_hashes({"backbone": "own_package.Net"})) == [*names]
    finally:
        for name in names:
            del sys.modules[name]


def test_a_file_of_this_project_is_hashed_where_git_does_not_know_it_as_it_is(monkeypatch):
    name = "regularizer_collection.regularizers.Mixup"
    file = Path(inspect.getfile(Mixup))
    assert own_code_hashes({"class_path": name}) == {}
    monkeypatch.setattr(own_code, "changed_files", lambda: {file.resolve()})
    assert [*own_code_hashes({"class_path": name})] == ["regularizer_collection.regularizers.mixup"]


@pytest.mark.parametrize(
    "name",
    [
        *("torch.optim.SGD", "regularizer_collection.callbacks.Evaluation", "callbacks.Evaluation"),
        *("own_losses.Other", "own_losses", "never_imported.Loss", "runs", "", "sys.path"),
    ],
)
def test_all_else_is_left_out(name, own_module):
    assert own_code_hashes({"class_path": name, "lr": 0.1, "callbacks": None}) == {}
