import re
import sys

from torch import nn

from regularizer_collection.callbacks.epoch_line import EpochLine
from regularizer_collection.lightning_modules import NoRegClassifier


def fit(make_trainer, data, **options):
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(3072, 100))
    trainer = make_trainer(callbacks=[EpochLine()], limit_val_batches=1.0, **options)
    trainer.fit(NoRegClassifier(backbone), data)


def test_every_epoch_has_a_line_with_accuracy_loss_and_the_time_left(
    make_trainer, tiny_data, capsys
):
    fit(make_trainer, tiny_data, max_epochs=3)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert len(lines) == 3
    form = r"epoch 2/3, test_curve/accuracy [\d.]+ %, train/loss [\d.]+, \d+ min left"
    assert re.fullmatch(form, lines[1])


def test_a_run_without_an_end_says_no_time(make_trainer, tiny_data, capsys):
    fit(make_trainer, tiny_data, max_epochs=-1, max_steps=6)
    (line,) = (o for o in capsys.readouterr().out.splitlines() if o.startswith("epoch"))
    assert line.startswith("epoch 1/?, ")
    assert "left" not in line


def test_a_terminal_has_a_progress_bar_instead(make_trainer, tiny_data, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    fit(make_trainer, tiny_data, max_epochs=1)
    assert "epoch" not in capsys.readouterr().out
