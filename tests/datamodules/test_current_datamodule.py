import pytest
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from regularizer_collection.callbacks import Calibration
from regularizer_collection.datamodules.current_datamodule import current_datamodule
from regularizer_collection.lightning_modules import NoRegClassifier


def test_a_test_on_loaders_after_a_fit_has_none(tiny_data, make_trainer):
    model = NoRegClassifier(nn.Sequential(nn.Flatten(), nn.Linear(3072, 100)))
    trainer = make_trainer(max_epochs=1, limit_train_batches=1)
    assert current_datamodule(trainer) is None
    trainer.fit(model, tiny_data)
    assert current_datamodule(trainer) is tiny_data
    images, labels = tiny_data.images_and_labels("test")
    loader = DataLoader(TensorDataset(tiny_data.normalize(images), labels), batch_size=10)
    trainer.test(model, loader, verbose=False)
    assert current_datamodule(trainer) is None
    assert trainer.datamodule is tiny_data


def test_a_test_on_loaders_is_not_measured_on_the_data_of_the_fit_before(tiny_data, make_trainer):
    model = NoRegClassifier(nn.Sequential(nn.Flatten(), nn.Linear(3072, 100)))
    trainer = make_trainer(max_epochs=1, limit_train_batches=1, callbacks=[Calibration()])
    trainer.fit(model, tiny_data)
    images, labels = tiny_data.images_and_labels("test")
    loader = DataLoader(TensorDataset(tiny_data.normalize(images), labels), batch_size=10)
    with pytest.raises(ValueError, match="the data is of loaders; measurements need a subclass"):
        trainer.test(model, loader, verbose=False)
