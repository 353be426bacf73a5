from torch.utils.tensorboard import SummaryWriter

from regularizer_collection.runtime.learning_curve import learning_curve, wall_time


def log(folder, suffix, points):
    with SummaryWriter(folder, filename_suffix=suffix) as writer:
        for step, value, seconds in points:
            writer.add_scalar("test_curve/accuracy", value, step)
            writer.add_scalar("train/loss", 1.0, step)
            writer.add_scalar("wall_time_seconds", seconds, step)


def test_a_run_that_was_resumed_has_one_curve(tmp_path):
    log(tmp_path, ".first", [(10, 0.125, 5), (20, 0.25, 15)])
    log(tmp_path, ".second", [(20, 0.25, 3), (30, 0.5, 7)])
    curve = learning_curve(tmp_path)
    assert curve == {"test_curve/accuracy": [[10, 0.125], [20, 0.25], [30, 0.5]]}
    assert wall_time(tmp_path) == 15 + 7


def test_a_folder_without_events_has_no_curve(tmp_path):
    assert learning_curve(tmp_path) == {}
    assert wall_time(tmp_path) == 0
