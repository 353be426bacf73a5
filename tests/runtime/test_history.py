import json

from regularizer_collection.runtime.history import History, epoch_curves, read_history


def logged(folder, points):
    history = History(folder)
    for step, value in points:
        history.log_metrics({"test_curve/accuracy": value, "epoch": 0}, step)
        history.save()
    return history


def test_a_run_that_was_resumed_has_one_curve(tmp_path):
    logged(tmp_path, [(10, 0.125), (20, 0.25), (30, 0.375)])
    logged(tmp_path, [(20, 0.25), (30, 0.5)])
    assert read_history(tmp_path) == {"test_curve/accuracy": [[10, 0.125], [20, 0.25], [30, 0.5]]}


def test_it_is_written_once_an_epoch_and_at_the_end(tmp_path):
    history = History(tmp_path)
    history.log_metrics({"train/loss": 2.0, "lr": 0.1}, 1)
    history.save()
    assert not (tmp_path / "history.json").exists()
    history.log_metrics({"train/accuracy": 0.5}, 1)
    history.save()
    assert json.loads((tmp_path / "history.json").read_text())["train/loss"] == [[1, 2.0]]
    history.log_metrics({"train/loss": 1.0}, 2)
    history.finalize("success")
    assert read_history(tmp_path)["train/loss"] == [[1, 2.0], [2, 1.0]]


def test_a_test_leaves_it_as_it_is(tmp_path):
    logged(tmp_path, [(10, 0.125)])
    history = History(tmp_path)
    history.log_metrics({"test/accuracy": 0.5}, 5)
    history.finalize("success")
    assert read_history(tmp_path) == {"test_curve/accuracy": [[10, 0.125]]}


def test_metrics_of_single_steps_are_left_out_of_the_epochs():
    tags = ("train/loss", "train/jacobian_penalty", "lr", "train/accuracy", "val/loss")
    assert list(epoch_curves({tag: [] for tag in tags})) == ["train/accuracy", "val/loss"]


def test_a_folder_without_history_has_no_curve(tmp_path):
    assert read_history(tmp_path) == {}
