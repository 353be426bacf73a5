import pytest
import torch
from torch import nn

from regularizer_collection.callbacks import StopOnNonFiniteLoss
from regularizer_collection.lightning_modules import NoRegClassifier
from regularizer_collection.regularizers import Penalty


class InfiniteInTheFifthBatch(Penalty):
    def value(self, logits, images, targets, step):
        return logits.sum() * (float("inf") if step.index == 4 else 0.0)


@pytest.mark.parametrize("log_every_n_steps", [1, 50])
def test_stops_and_names_the_first_step_and_the_rate(tiny_data, make_trainer, log_every_n_steps):
    model = NoRegClassifier(
        nn.Sequential(nn.Flatten(), nn.Linear(3072, 100)),
        regularizers=[InfiniteInTheFifthBatch(1.0)],
        optimizer=lambda params: torch.optim.SGD(params, lr=0.001),
    )
    trainer = make_trainer(
        max_epochs=1, callbacks=[StopOnNonFiniteLoss()], log_every_n_steps=log_every_n_steps
    )
    with pytest.raises(FloatingPointError, match=r"not finite at step 5 \(learning rate 1e-05\)"):
        trainer.fit(model, tiny_data)


def test_stops_at_weights_that_the_last_step_of_all_made_infinite(tiny_data, make_trainer):
    model = NoRegClassifier(
        nn.Sequential(nn.Flatten(), nn.Linear(3072, 100)),
        optimizer=lambda params: torch.optim.SGD(params, lr=float("inf")),
    )
    trainer = make_trainer(max_epochs=1, limit_train_batches=1, callbacks=[StopOnNonFiniteLoss()])
    with pytest.raises(FloatingPointError, match="a weight is not finite after step 1 "):
        trainer.fit(model, tiny_data)


def test_a_finite_run_goes_on(tiny_data, make_trainer):
    model = NoRegClassifier(nn.Sequential(nn.Flatten(), nn.Linear(3072, 100)))
    trainer = make_trainer(max_epochs=1, callbacks=[StopOnNonFiniteLoss()])
    trainer.fit(model, tiny_data)
    assert trainer.global_step == 6
