import hashlib
import sys

import pytest

from regularizer_collection.runtime.own_code import own_code_hashes


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
    ):
        assert own_code_hashes({"model": config}) == expected


@pytest.mark.parametrize(
    "name",
    [
        *("torch.optim.SGD", "regularizer_collection.callbacks.Evaluation", "callbacks.Evaluation"),
        *("own_losses.Other", "own_losses", "never_imported.Loss", "runs", "", "sys.path"),
    ],
)
def test_all_else_is_left_out(name, own_module):
    assert own_code_hashes({"class_path": name, "lr": 0.1, "callbacks": None}) == {}
