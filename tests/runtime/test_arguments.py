import pytest

from regularizer_collection.runtime.arguments import (
    command_first,
    command_to_type,
    short_keys,
    study_arguments,
    take_allowed_imports,
)


@pytest.mark.parametrize(
    ("program", "typed"),
    [
        ("cli.py", "python cli.py"),
        ("/usr/bin/regularizers", "regularizers"),
        ("Scripts/regularizers.exe", "regularizers"),
    ],
)
def test_a_command_for_later_begins_as_the_one_before(program, typed, monkeypatch):
    monkeypatch.setattr("sys.argv", [program, "study"])
    assert command_to_type("report", "my runs") == f"{typed} report 'my runs'"


def test_trusted_packages_are_taken_out_in_every_spelling():
    args = ["fit", "--allow_imports", "a", "--x=1", "--allow_imports=b", "-c", "y"]
    assert take_allowed_imports(args) == (["a", "b"], ["fit", "--x=1", "-c", "y"])


@pytest.mark.parametrize(
    ("args", "first"),
    [
        ("fit -c x", "fit -c x"),
        ("-c x fit --y 1", "fit -c x --y 1"),
        ("--help", "--help"),
        ("-c x", "-c x"),
    ],
)
def test_the_command_comes_first(args, first):
    assert command_first(args.split(), {"fit", "test"}) == first.split()


def test_optimizer_and_schedule_are_keys_of_the_model():
    args = ["--optimizer", "SGD", "--optimizer.lr=1", "--lr_scheduler+=x", "--optimizers", "y"]
    assert short_keys(args)[:4] == [
        *("--model.optimizer", "SGD", "--model.optimizer.lr=1", "--model.lr_scheduler+=x")
    ]
    assert short_keys(args)[4:] == args[4:]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("--seeds 0,1", "[0,1]"),
        ("--seeds=0,1", "[0,1]"),
        ("--seeds 0 1", "[0,1]"),
        ("--seeds [0,1]", "[0,1]"),
        ("--seeds 0-3", "[0,1,2,3]"),
        ("--seeds 0-1 5", "[0,1,5]"),
        ("--seeds 3", "[3]"),
    ],
)
def test_a_list_is_read_in_every_spelling(given, read):
    assert study_arguments(given.split(), ["seeds"]) == [f"--seeds={read}"]


def test_what_is_meant_for_each_fit_is_gathered():
    args = "--root x --trainer.max_epochs 3 --model.eps=0.1 --allow_imports mine --epochs 2"
    assert study_arguments(args.split(), []) == [
        *("--root", "x", "--epochs", "2"),
        '--options+=["--trainer.max_epochs", "3", "--model.eps", "0.1", "--allow_imports", "mine"]',
    ]
