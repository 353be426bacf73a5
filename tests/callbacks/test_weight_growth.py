import logging

import pytest
import torch
from torch import nn

from regularizer_collection.callbacks import WeightGrowth
from regularizer_collection.lightning_modules import NoRegClassifier


def backbone():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=4, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 100),
    )


def fit(make_trainer, data, lr, growth=1.0, **trainer):
    """Trains for an epoch of 6 steps; in the second the first weight is multiplied."""

    class Growing(NoRegClassifier):
        def training_step(self, batch, batch_idx):
            if batch_idx == 1:
                with torch.no_grad():
                    self.backbone[0].weight.mul_(growth)
            return super().training_step(batch, batch_idx)

    model = Growing(backbone(), optimizer=lambda params: torch.optim.SGD(params, lr=lr))
    trainer = make_trainer(
        **({"max_epochs": 1, "log_every_n_steps": 3} | trainer), callbacks=[WeightGrowth()]
    )
    trainer.fit(model, data)
    return model, trainer


def test_norms_and_effective_rates_are_those_of_the_weights(make_trainer, tiny_data):
    model, trainer = fit(make_trainer, tiny_data, 0.05, max_epochs=1)
    norm = model.backbone[0].weight.norm().item()
    logged = trainer.callback_metrics
    assert logged["weight_norm/0"].item() == pytest.approx(norm)
    rate = trainer.optimizers[0].param_groups[0]["lr"]
    assert logged["effective_rate/0"].item() == pytest.approx(rate / norm**2)
    assert not [name for name in logged if name.endswith("/5")]  # nothing normalises it


@pytest.mark.parametrize(("growth", "warnings"), [(11.0, 1), (9.0, 0)])
def test_a_norm_that_grows_tenfold_is_told_once(growth, warnings, make_trainer, tiny_data, caplog):
    with caplog.at_level(logging.WARNING, "pytorch_lightning"):
        fit(make_trainer, tiny_data, 1e-6, growth, max_epochs=2)
    told = [r.getMessage() for r in caplog.records if "the norm of 0 grew" in r.getMessage()]
    assert len(told) == warnings
    if told:
        assert "in 3 steps" in told[0]
        assert "give penalty_warmup_steps" in told[0]


def test_training_is_the_same_with_and_without_it(make_trainer, tiny_data):
    watched, _ = fit(make_trainer, tiny_data, 0.05)
    torch.manual_seed(0)
    plain = NoRegClassifier(backbone(), optimizer=lambda params: torch.optim.SGD(params, lr=0.05))
    make_trainer(max_epochs=1).fit(plain, tiny_data)
    torch.testing.assert_close(watched.state_dict(), plain.state_dict(), rtol=0, atol=0)


class MadeInside(nn.Module):
    """Makes a tensor in its forward pass, of the type that the trainer asks for."""

    def __init__(self):
        super().__init__()
        self.layers = backbone()

    def forward(self, images):
        blur = torch.full((3, 1, 3, 3), 1 / 9)
        return self.layers(nn.functional.conv2d(images, blur, padding=1, groups=3))


def test_it_looks_through_a_network_in_the_precision_of_the_training(make_trainer, tiny_data):
    model = NoRegClassifier(MadeInside())
    trainer = make_trainer(max_epochs=1, precision="64-true", callbacks=[WeightGrowth()])
    trainer.fit(model, tiny_data)
    assert "weight_norm/layers.0" in trainer.callback_metrics


def test_a_network_that_cannot_be_looked_through_trains_without_its_curves(make_trainer, tiny_data):
    class InTrainingAlone(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = backbone()

        def forward(self, images):
            if not self.training:
                raise NotImplementedError("no eval mode")
            return self.layers(images)

    model = NoRegClassifier(InTrainingAlone())
    trainer = make_trainer(max_epochs=1, limit_val_batches=0, callbacks=[WeightGrowth()])
    with pytest.warns(UserWarning, match=r"weight_norm/ and effective_rate/ are left out: no eval"):
        trainer.fit(model, tiny_data)
    assert trainer.global_step == 6
