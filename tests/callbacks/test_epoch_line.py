import re
import sys
from itertools import count
from types import SimpleNamespace

from torch import nn

from regularizer_collection.callbacks import epoch_line
from regularizer_collection.callbacks.epoch_line import EpochLine
from regularizer_collection.lightning_modules import NoRegClassifier


def fit(make_trainer, data, **options):
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(3072, 100))
    trainer = make_trainer(callbacks=[EpochLine()], limit_val_batches=1.0, **options)
    trainer.fit(NoRegClassifier(backbone), data)


def test_every_epoch_has_a_line_with_accuracy_loss_and_the_time_left(
    make_trainer, tiny_data, capsys, monkeypatch
):
    seconds = count(0, 120)  # between two readings of the watch, one at each epoch's end
    monkeypatch.setattr(epoch_line, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    fit(make_trainer, tiny_data, max_epochs=3)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert len(lines) == 3
    for number, (line, minutes) in enumerate(zip(lines, (4, 2, 0), strict=True), start=1):
        form = rf"epoch {number}/3, test_curve/accuracy [\d.]+ %, train/loss [\d.]+"
        assert re.fullmatch(rf"{form}, {minutes} min left", line)


def test_an_epoch_that_was_not_validated_shows_no_accuracy_of_another(
    make_trainer, tiny_data, capsys
):
    fit(make_trainer, tiny_data, max_epochs=3, check_val_every_n_epoch=2, num_sanity_val_steps=1)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert ["test_curve/accuracy" in line for line in lines] == [False, True, False]


def test_a_run_without_an_end_says_no_time(make_trainer, tiny_data, capsys):
    fit(make_trainer, tiny_data, max_epochs=-1, max_steps=6)
    (line,) = (o for o in capsys.readouterr().out.splitlines() if o.startswith("epoch"))
    assert line.startswith("epoch 1/?, ")
    assert "left" not in line


def test_a_terminal_has_a_progress_bar_instead(make_trainer, tiny_data, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    fit(make_trainer, tiny_data, max_epochs=1)
    assert "epoch" not in capsys.readouterr().out
