from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning import LightningModule
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from regularizer_collection.callbacks import SingularValueBounding
from regularizer_collection.callbacks.running_statistics import (
    reestimate_running_statistics,
    training_batches,
)
from regularizer_collection.datamodules import ImageDataModule
from regularizer_collection.lightning_modules import NoRegClassifier


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 2))


def test_they_are_the_averages_over_the_batches():
    model, batches = network(), torch.randn(7, 30, 4)
    model(torch.randn(9, 4))
    reestimate_running_statistics(model, batches)
    features = model[0](batches)
    torch.testing.assert_close(model[1].running_mean, features.mean((0, 1)))
    torch.testing.assert_close(model[1].running_var, features.var(1).mean(0))


def test_all_else_stays_as_it_was():
    model = network()
    model(torch.randn(9, 4))
    model[3].eval()
    weights = {name: p.clone() for name, p in model.named_parameters()}
    state = torch.get_rng_state()
    reestimate_running_statistics(model, torch.randn(3, 30, 4, generator=torch.Generator()))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(p, weights[name]) for name, p in model.named_parameters())
    assert model[1].num_batches_tracked == 1
    assert model[1].momentum == 0.1
    assert [module.training for module in model] == [True, True, True, False]


def test_a_network_without_batch_normalisation_asks_for_no_batch():
    reestimate_running_statistics(nn.Linear(4, 2), iter([None]))


def test_a_loader_of_somebody_elses_goes_on_where_it_was(make_trainer):
    numbers = TensorDataset(torch.arange(20.0), torch.zeros(20))
    drawn_from = torch.Generator().manual_seed(0)
    loader = DataLoader(
        numbers, shuffle=True, generator=drawn_from, num_workers=1, persistent_workers=True
    )
    trainer = SimpleNamespace(datamodule=None, train_dataloader=loader)
    trainer.precision_plugin = SimpleNamespace(convert_input=lambda batch: batch)
    module = SimpleNamespace(_apply_batch_transfer_handler=lambda batch: batch)
    epoch = iter(loader)
    first = [next(epoch)[0].item() for _ in range(12)]
    state = drawn_from.get_state()
    assert len(list(training_batches(trainer, module, 0))) == 10
    assert torch.equal(drawn_from.get_state(), state)
    assert sorted(first + [batch[0].item() for batch in epoch]) == list(range(20))


def test_the_batches_of_a_step_are_the_same_again(tiny_data, make_trainer):
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(3072, 100))
    trainer, model = make_trainer(max_epochs=1), NoRegClassifier(backbone=backbone)
    trainer.fit(model, tiny_data)
    first, again, other = (list(training_batches(trainer, model, seed)) for seed in (1, 1, 2))
    assert len(first) == 10
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


class Images(ImageDataModule):
    num_classes, mean, std = 2, (0.5,), (0.5,)

    def __init__(self, number):
        super().__init__()
        self.number = number

    def load(self, split):
        images = torch.arange(self.number, dtype=torch.uint8).view(-1, 1, 1, 1)
        return images, torch.zeros(self.number, dtype=torch.long)


@pytest.mark.parametrize(("number", "batches"), [(2, 1), (3, 1), (15, 7), (19, 9), (41, 10)])
def test_no_batch_has_one_image_alone(number, batches):
    data = Images(number)
    data.setup("fit")
    trainer = SimpleNamespace(datamodule=data)
    trainer.precision_plugin = SimpleNamespace(convert_input=lambda batch: batch)
    drawn = list(training_batches(trainer, SimpleNamespace(device="cpu"), 0))
    assert len(drawn) == batches
    assert min(map(len, drawn)) >= 2
    assert len(torch.cat(drawn).unique()) == sum(map(len, drawn))


class Norms(LightningModule):
    """Somebody else's, in any precision, on batches of their own."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(4, 6, bias=False), nn.BatchNorm1d(6))

    def training_step(self, batch, batch_idx):
        images = batch["x"] if isinstance(batch, dict) else batch[0]
        return self.backbone(images).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.parametrize("precision", ["64-true", "bf16-true", "bf16-mixed"])
def test_in_any_precision(precision, make_trainer):
    loader = DataLoader(TensorDataset(torch.randn(20, 4)), batch_size=5)
    bounding = SingularValueBounding(every_n_steps=2)
    trainer = make_trainer(max_epochs=1, precision=precision, callbacks=[bounding])
    trainer.fit(Norms(), loader)
    assert bounding.last_step == 4


def test_batches_that_are_no_images_are_told(make_trainer):
    loader = DataLoader([{"x": torch.randn(4)} for _ in range(8)], batch_size=4)
    trainer = make_trainer(max_epochs=1, callbacks=[SingularValueBounding(every_n_steps=1)])
    with pytest.raises(ValueError, match="a training batch is a dict; to look at"):
        trainer.fit(Norms(), loader)
