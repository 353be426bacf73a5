import warnings
from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn

from regularizer_collection.datamodules import ImageDataModule
from regularizer_collection.lightning_modules import NoRegClassifier


class Counted(ImageDataModule):
    """A third party's data set: 20 samples in each of 4 classes."""

    num_classes = 4
    mean = (0.1, 0.2, 0.3)
    std = (0.5, 0.25, 0.125)

    def load(self, split):
        labels = torch.arange(4).repeat(20)
        images = torch.arange(80, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 8, 8, 3)
        return images, labels


def test_with_nothing_held_out_all_images_train_and_the_curve_is_named_for_the_test_images():
    data = Counted()
    data.setup("fit")
    assert len(data.images_and_labels("train")[1]) == 80
    assert data.validation_name == "test_curve"
    assert torch.equal(data.val_dataloader().labels, data.test_dataloader().labels)


@pytest.mark.parametrize("val_size", [8, 10, 0.1, 0.125])
def test_the_held_out_part_is_stratified_seeded_and_disjoint(val_size):
    held_out = []
    for seed in (0, 0, 1):
        data = Counted(val_size=val_size, seed=seed)
        data.setup("fit")
        images, labels = data.images_and_labels("val")
        counts = labels.bincount(minlength=4)
        size = val_size if val_size >= 1 else round(80 * val_size)
        assert counts.sum() == size
        assert counts.max() - counts.min() <= 1
        train = data.images_and_labels("train")[0][:, 0, 0, 0]
        assert set(train.tolist()).isdisjoint(images[:, 0, 0, 0].tolist())
        assert len(train) == 80 - size
        held_out.append(images[:, 0, 0, 0].tolist())
    assert held_out[0] == held_out[1] != held_out[2]
    assert data.validation_name == "val"


class Unbalanced(Counted):
    """100 samples of class 0 and of class 1, 5 of class 2 and 1 of class 3."""

    def load(self, split):
        labels = torch.tensor([0] * 100 + [1] * 100 + [2] * 5 + [3])
        return torch.zeros(206, 8, 8, 3, dtype=torch.uint8), labels


@pytest.mark.parametrize("val_size", [0.1, 0.5])
def test_of_rare_classes_as_large_a_share_is_held_out_as_of_others(val_size):
    data = Unbalanced(val_size=val_size)
    data.setup("fit")
    held_out = data.images_and_labels("val")[1].bincount(minlength=4)
    assert held_out.sum() == round(206 * val_size)
    for number, of_class in zip(held_out.tolist(), (100, 100, 5, 1), strict=True):
        assert abs(number - val_size * of_class) <= 1.5
    assert data.images_and_labels("train")[1].bincount(minlength=4).min() > 0


def test_a_batch_that_has_no_image_for_a_process_is_refused():
    data = Counted(batch_size=2)
    data.setup("fit")
    data._splits["train"] = tuple(part[:9] for part in data._splits["train"])
    data.trainer = SimpleNamespace(global_rank=0, world_size=2, overfit_batches=0)
    with pytest.raises(ValueError, match="batch_size is 2, and a batch of the 9 images of"):
        data.train_dataloader()


def test_every_class_keeps_an_image_to_train_on_as_long_as_there_are_enough():
    data = Unbalanced(val_size=202)
    data.setup("fit")
    assert data.images_and_labels("train")[1].tolist() == [0, 1, 2, 3]
    with pytest.warns(UserWarning, match="val_size is 203, which leaves 1 of the classes no"):
        Unbalanced(val_size=203).setup("fit")


def test_normalisation_follows_the_formula_and_gives_channels_last():
    images = torch.randint(0, 256, (5, 8, 8, 3), dtype=torch.uint8)
    ours = Counted().normalize(images)
    naive = (images.permute(0, 3, 1, 2) / 255 - torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)) / (
        torch.tensor([0.5, 0.25, 0.125]).view(3, 1, 1)
    )
    torch.testing.assert_close(ours, naive)
    assert ours.is_contiguous(memory_format=torch.channels_last)


def test_refuses_labels_outside_the_classes():
    class Wrong(Counted):
        num_classes = 3

    with pytest.raises(ValueError, match="labels 0 to 3 in its test split; give labels from 0 to"):
        Wrong().setup("fit")


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (
            torch.rand(4, 8, 8, 3),
            torch.arange(4),
            r"float32 \[4, 8, 8, 3\] in its test split",
        ),
        (torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.arange(4), "give uint8 .*, width, 3"),
        (torch.zeros(4, 8, 8, dtype=torch.uint8), torch.arange(4), r"images uint8 \[4, 8, 8\]"),
        (
            torch.zeros(4, 8, 8, 3, dtype=torch.uint8),
            torch.arange(3),
            "labels int64 .* for 4 im",
        ),
        (torch.zeros(4, 8, 8, 3, dtype=torch.uint8), torch.rand(4), "give a whole number for each"),
    ],
)
def test_refuses_other_images_and_labels_than_it_can_use(images, labels, message):
    class Wrong(Counted):
        def load(self, split):
            return images, labels

    with pytest.raises(ValueError, match=message):
        Wrong().setup("fit")


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
def test_takes_labels_of_any_whole_type(dtype):
    class Short(Counted):
        def load(self, split):
            images, labels = super().load(split)
            return images, labels.to(dtype)

    data = Short()
    data.setup("fit")
    assert data.images_and_labels("train")[1].dtype == torch.int64


def test_refuses_to_hold_out_everything():
    with pytest.raises(ValueError, match="val_size is 80, the training split has 80 images"):
        Counted(val_size=80).setup("fit")


def test_refuses_a_share_of_no_image():
    with pytest.raises(ValueError, match=r"val_size is 0.001, .* 80 images; hold out more"):
        Counted(val_size=0.001).setup("fit")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"val_size": -1}, "val_size is -1"),
        ({"val_size": 10.5}, "val_size is 10.5; give a whole number, or a share below 1"),
    ],
)
def test_refuses_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Counted(**arguments)


@pytest.mark.parametrize("overfit_batches", [0.0, 2])
def test_overfitting_sees_the_same_batches_in_every_epoch(overfit_batches, make_trainer):
    seen = []

    class Seen(NoRegClassifier):
        def training_step(self, batch, batch_idx):
            seen.append(batch[0][:, 0, 0, 0].tolist())
            return super().training_step(batch, batch_idx)

    backbone = nn.Sequential(nn.Flatten(), nn.Linear(192, 4))
    trainer = make_trainer(max_epochs=2, overfit_batches=overfit_batches, limit_train_batches=2)
    trainer.fit(Seen(backbone, num_classes=4), Counted(batch_size=10))
    assert (seen[:2] == seen[2:]) == bool(overfit_batches)


def test_a_loader_asked_for_in_a_callback_or_after_the_training_has_the_whole_epoch(make_trainer):
    seen = []

    class Asking(Callback):
        def on_train_batch_end(self, trainer, *_):
            seen.append(len(list(trainer.datamodule.train_dataloader())))

        def on_train_epoch_end(self, trainer, pl_module):
            self.on_train_batch_end(trainer)

    data = Counted(batch_size=20)
    model = NoRegClassifier(nn.Sequential(nn.Flatten(), nn.Linear(192, 4)), num_classes=4)
    make_trainer(max_epochs=1, callbacks=[Asking()]).fit(model, data)
    assert seen == [4] * 5
    assert len(list(data.train_dataloader())) == 4


def test_a_loader_of_somebody_elses_around_ours_goes_on_where_it_was(make_trainer, tmp_path):
    class Wrapped:
        def __init__(self, loader):
            self.loader = loader

        def __iter__(self):
            return iter(self.loader)

        def __len__(self):
            return len(self.loader)

    class Own(Counted):
        def train_dataloader(self):
            return Wrapped(super().train_dataloader())

    class Seen(NoRegClassifier):
        def training_step(self, batch, batch_idx):
            seen.append(batch[0][:, 0, 0, 0].tolist())
            return super().training_step(batch, batch_idx)

    def fit(**options):
        model = Seen(nn.Sequential(nn.Flatten(), nn.Linear(192, 4)), num_classes=4)
        saved = ModelCheckpoint(tmp_path, filename="half", every_n_train_steps=3)
        trainer = make_trainer(max_epochs=1, callbacks=[saved], enable_checkpointing=True)
        trainer.fit(model, Own(batch_size=20), **options)

    seen = []
    fit()
    whole, seen = seen, []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit(ckpt_path=tmp_path / "half.ckpt")
    assert seen == whole[3:]


@pytest.mark.parametrize(
    ("name", "value"),
    [("mean", (120.0, 120.0, 120.0)), ("mean", 0.5), ("mean", ()), ("std", (60.0, 60.0, 60.0))],
)
def test_mean_and_std_of_other_units_than_pixels_from_0_to_1_are_refused(name, value):
    data = Counted()
    setattr(data, name, value)
    with pytest.raises(ValueError, match=f"Counted has {name} .*; give a tuple with a number for"):
        data.setup("fit")


class OfArrays(Counted):
    def load(self, split):
        images, labels = super().load(split)
        return images.numpy(), labels.tolist()


def test_arrays_and_lists_are_taken_for_what_they_hold():
    data, expected = OfArrays(), Counted()
    for module in (data, expected):
        module.setup("fit")
    for found, wanted in zip(
        data.images_and_labels("test"), expected.images_and_labels("test"), strict=True
    ):
        assert torch.equal(found, wanted)


class Empty(Counted):
    def load(self, split):
        images, labels = super().load(split)
        return images[:0], labels[:0]


def test_a_split_without_images_is_refused():
    with pytest.raises(ValueError, match="Empty has no images in its test split"):
        Empty().setup("test")
