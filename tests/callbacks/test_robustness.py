import logging
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_lightning import LightningModule
from torch import nn

from regularizer_collection.callbacks import Robustness, robustness
from regularizer_collection.callbacks.attack_protocol import AttackProtocol, eps_name
from regularizer_collection.datamodules import ImageDataModule, Shapes100DataModule
from regularizer_collection.functional.attacks import pgd
from regularizer_collection.functional.corruptions import KINDS, corrupt
from regularizer_collection.functional.packed_maps import decode_map
from regularizer_collection.lightning_modules import NoRegClassifier, ResNet18

WEAK = {"num_steps": 8, "distance_steps": 20}


class Blobs(ImageDataModule):
    """Grey-free 8x8 images of 4 classes that a linear network tells apart, unevenly many."""

    num_classes = 4
    mean = (0.5, 0.4, 0.3)
    std = (0.25, 0.2, 0.3)

    def load(self, split):
        generator = torch.Generator().manual_seed(0)
        labels = torch.arange(40) % 4
        labels[30:] = 0
        centres = torch.randint(115, 141, (4, 8, 8, 3), generator=generator)
        noise = torch.randint(-10, 11, (40, 8, 8, 3), generator=generator)
        return (centres[labels] + noise).to(torch.uint8), labels


def linear():
    """A linear network whose rows are the classes' centres, so that most images are right."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 4))
    images, labels = Blobs().load("test")
    x = Blobs().normalize(images).flatten(1)
    with torch.no_grad():
        for label in range(4):
            centre = x[labels == label].mean(0)
            network[1].weight[label] = centre / 50
            network[1].bias[label] = -centre.square().sum() / 100
    return network


def measured(make_trainer, backbone=None, data=None, **options):
    callback = Robustness(**(WEAK | options))
    trainer = make_trainer(callbacks=[callback])
    module = NoRegClassifier(linear() if backbone is None else backbone, num_classes=4)
    trainer.test(module, data or Blobs(), verbose=False)
    return callback.record, trainer


def test_images_are_as_many_of_each_class_and_the_same_for_every_network(make_trainer):
    first, _ = measured(make_trainer, num_images=12)
    torch.manual_seed(1)
    other = nn.Sequential(nn.Flatten(), nn.Linear(192, 4))
    second, _ = measured(make_trainer, other, num_images=12)
    assert first["image_indices"] == second["image_indices"]
    labels = Blobs().load("test")[1][first["image_indices"]]
    assert labels.bincount().tolist() == [3, 3, 3, 3]
    more, _ = measured(make_trainer, num_images=20)
    assert more["image_indices"][:12] == first["image_indices"]


def test_a_tenth_of_the_test_images_is_taken_unless_a_number_is_given(make_trainer, monkeypatch):
    record, _ = measured(make_trainer)
    assert record == {}  # of fewer than 1,000
    monkeypatch.setattr(robustness, "_FEWEST", 40)
    record, _ = measured(make_trainer)
    assert record["num_images"] == 4


HOOKS = ("normalize", "on_before_batch_transfer", "on_after_batch_transfer")


@pytest.mark.parametrize("hook", HOOKS)
def test_images_that_the_test_sees_otherwise_are_refused(hook, make_trainer):
    class Own(Blobs):
        pass

    def normalize(self, images):
        return 2 * Blobs.normalize(self, images)

    def on_before_batch_transfer(self, batch, dataloader_idx):
        return 255 - batch[0], batch[1]

    def on_after_batch_transfer(self, batch, dataloader_idx):
        images, labels = Blobs.on_after_batch_transfer(self, batch, dataloader_idx)
        return images - images.mean((1, 2, 3), keepdim=True), labels

    setattr(Own, hook, locals()[hook])
    with pytest.raises(ValueError, match="Own prepares test images otherwise than by mean and std"):
        measured(make_trainer, data=Own(), num_images=12)


def test_such_images_are_refused_at_the_first_validation(make_trainer):
    class Own(Blobs):
        def normalize(self, images):
            return 2 * super().normalize(images)

    trainer = make_trainer(callbacks=[Robustness(12)], max_epochs=1, limit_val_batches=1.0)
    module = NoRegClassifier(linear(), num_classes=4)
    with pytest.raises(ValueError, match="Own prepares test images otherwise"):
        trainer.fit(module, Own())


def test_images_changed_in_training_alone_are_measured(make_trainer):
    class Own(Blobs):
        def on_after_batch_transfer(self, batch, dataloader_idx):
            images, labels = super().on_after_batch_transfer(batch, dataloader_idx)
            return images.flip(3) if self.trainer.training else images, labels

    assert measured(make_trainer, data=Own(), num_images=12)[0]["num_images"] == 12


def test_half_precision_is_measured_on_whole_pixels(make_trainer):
    callback, module, data = Robustness(), NoRegClassifier(linear(), num_classes=4), Blobs()
    module.to(torch.bfloat16)
    trainer = make_trainer(precision="bf16-true")
    data.setup("test")
    trainer.datamodule = data
    with callback.subject(trainer, module) as subject:
        pixels, labels = subject.pixels(range(40)), subject.labels(range(40))
        assert torch.equal((255 * pixels).round() / 255, pixels)
        moved = pgd(subject.logits, pixels, labels, 0.5 / 255, 0.125 / 255, 4)
        expected = module.backbone(subject.images(range(40)).bfloat16()).float()
        assert torch.equal(subject.logits(pixels), expected)
    assert (moved - pixels).abs().max() <= 0.5 / 255 + 1e-6
    assert (moved != pixels).float().mean() > 0.9


def test_a_trial_run_measures_two_images_and_leaves_nothing(make_trainer):
    callback = Robustness(20, **WEAK)
    trainer = make_trainer(callbacks=[callback], fast_dev_run=True)
    trainer.test(NoRegClassifier(linear(), num_classes=4), Blobs(), verbose=False)
    assert callback.record["num_images"] == 2
    assert not (Path(trainer.default_root_dir) / "robustness").exists()


def test_accuracies_are_those_of_a_naive_loop(make_trainer):
    backbone = linear()
    record, trainer = measured(make_trainer, backbone, num_images=20)
    data = Blobs()
    images, labels = data.load("test")
    chosen = record["image_indices"]
    assert record["accuracy"]["clean"] == right(backbone, data, images[chosen], labels[chosen])
    for kind in ("fog", "jpeg", "gaussian_noise"):
        for severity in (1, 5):
            changed = corrupt(images[chosen], kind, severity, chosen)
            expected = right(backbone, data, changed, labels[chosen])
            assert record["accuracy"][kind][str(severity)] == pytest.approx(expected)
    mean = np.mean([[*record["accuracy"][kind].values()] for kind in KINDS])
    assert record["accuracy"]["corruptions"] == pytest.approx(mean)
    assert trainer.callback_metrics["test/corruption_accuracy"].item() == pytest.approx(mean)


def right(backbone, data, images, labels):
    with torch.no_grad():
        return (backbone(data.normalize(images)).argmax(1) == labels).double().mean().item()


def test_fgsm_spares_exactly_those_whose_margin_is_wide_enough_against_one_rival(make_trainer):
    data = Blobs()
    images, labels = data.load("test")
    data._splits["test"] = images[labels < 2], labels[labels < 2]
    backbone = linear()
    with torch.no_grad():
        backbone[1].bias[2:] = -1e6
    record, _ = measured(make_trainer, backbone, data, num_images=20)
    images, labels = (t[record["image_indices"]] for t in data.images_and_labels("test"))
    rows = backbone[1].weight.detach().view(4, 3, 64) / torch.tensor(data.std)[:, None]
    logits = backbone(data.normalize(images)).detach()
    gaps = (logits[:, 0] - logits[:, 1]) * (1 - 2 * labels)
    for eps in (4 / 255, 8 / 255):
        expected = gaps > eps * (rows[0] - rows[1]).abs().sum()
        found = decode_map(record["values"][f"fgsm/{eps_name(eps)}"])
        assert found.tolist() == expected.int().tolist()
        assert expected.sum() > 0 or eps > 4 / 255


def test_the_minimal_distance_is_that_to_the_nearest_hyperplane(make_trainer):
    backbone = linear()
    record, _ = measured(make_trainer, backbone, num_images=20, distance_steps=100)
    data = Blobs()
    images, labels = (t[record["image_indices"]] for t in data.load("test"))
    logits = backbone(data.normalize(images)).detach()
    rows = backbone[1].weight.detach().view(4, 3, 64) / torch.tensor(data.std)[:, None]
    expected = []
    for logit, label in zip(logits, labels.tolist(), strict=True):
        others = [k for k in range(4) if k != label]
        distances = [(logit[label] - logit[k]) / (rows[label] - rows[k]).norm() for k in others]
        expected.append(max(0.0, min(distances).item()))
    found, expected = np.array(record["values"]["distance"]), np.array(expected)
    assert (found == 0).tolist() == (expected == 0).tolist()
    assert (found >= expected * (1 - 1e-3)).all()
    assert np.median(found[found > 0] / expected[found > 0]) < 1.01
    assert record["median_distance"] == pytest.approx(sorted(found)[9], rel=1e-3)
    normalised = np.array(record["values"]["distance_normalised"])
    assert (normalised[found > 0] / found[found > 0] >= 1 / max(data.std) - 1e-6).all()


def test_the_boundary_of_a_linear_network_is_flat(make_trainer):
    record, _ = measured(make_trainer, num_images=40, distance_steps=100)
    assert 0.5 < record["flatness"] < 1.2  # the nearest of three hyperplanes is nearer than one


def test_pgd_weakens_with_neither_eps_nor_steps(make_trainer):
    record, _ = measured(make_trainer, num_images=40, num_steps=10)
    pgd = [*record["accuracy"]["pgd"].values()]
    assert pgd == sorted(pgd, reverse=True)
    by_steps = record["accuracy"]["pgd_by_steps"]
    assert len(by_steps) == 41
    assert by_steps[0] == record["accuracy"]["clean"]
    assert by_steps == sorted(by_steps, reverse=True)
    assert record["signs_of_gradient_masking"] == []


@pytest.mark.parametrize("chunk_size", [7, 1000])
def test_the_chunk_size_changes_no_result(make_trainer, chunk_size):
    reference, _ = measured(make_trainer, num_images=20, chunk_size=20)
    chunked, _ = measured(make_trainer, num_images=20, chunk_size=chunk_size)
    assert chunked["accuracy"] == reference["accuracy"]
    np.testing.assert_allclose(chunked["values"]["distance"], reference["values"]["distance"])


def test_a_test_that_was_killed_goes_on_with_the_same_numbers(make_trainer, monkeypatch):
    reference, _ = measured(make_trainer, num_images=20, chunk_size=5)
    measure, calls = AttackProtocol.measure, []

    def killed(self, subject, indices, is_checked):
        calls.append(indices)
        if len(calls) == 3:
            raise SystemExit(137)
        return measure(self, subject, indices, is_checked)

    monkeypatch.setattr(AttackProtocol, "measure", killed)
    with pytest.raises(SystemExit):
        measured(make_trainer, num_images=20, chunk_size=5)
    record, trainer = measured(make_trainer, num_images=20, chunk_size=5)
    assert len(calls) == 3 + 2
    assert record == reference
    assert not (Path(trainer.default_root_dir) / "robustness" / "parts").exists()


def test_another_network_does_not_go_on_with_these_parts(make_trainer, monkeypatch):
    measure = AttackProtocol.measure

    def interrupted(self, subject, indices, is_checked):
        if is_checked and interrupted.calls:
            raise KeyboardInterrupt
        interrupted.calls += 1
        return measure(self, subject, indices, is_checked)

    interrupted.calls = 0
    monkeypatch.setattr(AttackProtocol, "measure", interrupted)
    with pytest.warns(UserWarning, match="the results hold 1 of 4 parts of robustness"):
        partial, _ = measured(make_trainer, num_images=20, chunk_size=5)
    assert (partial["num_images"], partial["missing_images"]) == (5, 15)
    monkeypatch.setattr(AttackProtocol, "measure", measure)
    torch.manual_seed(1)
    other = nn.Sequential(nn.Flatten(), nn.Linear(192, 4))
    record, _ = measured(make_trainer, other, num_images=20, chunk_size=5)
    assert (record["num_images"], record["missing_images"]) == (20, 0)
    assert record["accuracy"]["clean"] < 0.9


def test_a_network_that_is_never_right_has_no_distance_and_no_accuracy(make_trainer):
    class Wrong(nn.Module):
        def forward(self, images):
            return images.flatten(1)[:, :4] * 0 + torch.tensor([0.0, 0.0, 0.0, 0.0])

    data = Blobs()
    data.setup("test")
    labels = data.images_and_labels("test")[1]
    data._splits["test"] = data.images_and_labels("test")[0], labels.clamp(min=1)
    record, _ = measured(make_trainer, Wrong(), data, num_images=8)
    assert record["accuracy"]["clean"] == 0
    assert record["median_distance"] == 0
    assert record["flatness"] is None


def test_nothing_is_measured_if_no_images_are_asked_for(make_trainer):
    record, trainer = measured(make_trainer, num_images=0)
    assert record == {}
    assert not any("fgsm" in name for name in trainer.callback_metrics)


def test_a_picture_shows_images_and_what_changes_their_class(make_trainer):
    _, trainer = measured(make_trainer, num_images=8)
    assert (Path(trainer.default_root_dir) / "robustness" / "attack.png").stat().st_size > 1000


def test_signs_of_weak_attacks_are_told(make_trainer, caplog):
    class Flat(nn.Module):
        """Rounds, which leaves no gradient."""

        def __init__(self):
            super().__init__()
            self.linear = linear()

        def forward(self, images):
            return self.linear(images).mul(1e4).round() * (1 + 0 * images.sum())

    with caplog.at_level(logging.INFO):
        record, _ = measured(make_trainer, Flat(), num_images=8)
    assert "the attacks may be too weak to mean robustness: " in caplog.text
    signs = " ".join(record["signs_of_gradient_masking"])
    assert "of the gradients are zero" in signs
    assert "accuracy at eps 64/255" in signs


class Normalised(nn.Module):
    """Divides by the statistics of the batch, in eval mode too."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(192, 4)

    def forward(self, images):
        features = images.flatten(1)
        return self.linear(features - features.mean(0))


def test_a_network_whose_logits_depend_on_the_batch_is_refused(make_trainer):
    with pytest.raises(ValueError, match=r"change with the images beside it, by .* running stat"):
        measured(make_trainer, Normalised(), num_images=8)


def test_more_images_than_there_are_are_refused_before_anything_is_trained(make_trainer):
    with pytest.raises(ValueError, match="num_images is 41, the test split has 40 images"):
        measured(make_trainer, num_images=41)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eps": [1.5]}, "eps is 1.5; give a number from 0 to 1"),
        ({"eps": []}, "eps is empty; give at least one"),
        ({"num_steps": 0}, "num_steps is 0"),
        ({"distance_steps": 0}, "distance_steps is 0"),
        ({"chunk_size": 0}, "chunk_size is 0"),
        ({"num_images": -1}, "num_images is -1"),
    ],
)
def test_arguments_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Robustness(**options)


def test_a_strength_is_named_by_what_it_is_of_255_levels():
    assert [eps_name(eps) for eps in (0.5 / 255, 8 / 255, 0.1)] == ["0.5_255", "8_255", "0.1"]
    assert not math.isnan(float(eps_name(0.3)))


@pytest.mark.parametrize("inference_mode", [True, False])
def test_lightnings_inference_mode_hinders_no_attack(inference_mode, make_trainer):
    callback = Robustness(4, **WEAK)
    trainer = make_trainer(callbacks=[callback], inference_mode=inference_mode)
    backbone, data = ResNet18(100), Shapes100DataModule(20, 20)
    trainer.test(NoRegClassifier(backbone), data, verbose=False)
    assert callback.record["num_images"] == 4


def test_a_module_that_is_none_of_ours_is_refused_before_it_is_trained(make_trainer):
    class Theirs(LightningModule):
        num_classes = 4

        def test_step(self, batch, batch_idx):
            """Never comes to it."""

    with pytest.raises(ValueError, match="the model is Theirs; measurements need a subclass of Cl"):
        make_trainer(callbacks=[Robustness(4)]).test(Theirs(), Blobs())


def test_images_of_any_number_of_channels_are_measured(make_trainer, tmp_path):
    class FourChannels(Blobs):
        mean, std = (0.5, 0.4, 0.3, 0.4), (0.25, 0.2, 0.3, 0.2)

        def load(self, split):
            images, labels = super().load(split)
            return torch.cat([images, images[..., 1:2]], 3), labels

    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(256, 4))
    record, trainer = measured(make_trainer, network, FourChannels(), num_images=4)
    assert record["accuracy"]["jpeg"].keys() == set("12345")
    assert (Path(trainer.default_root_dir) / "robustness" / "attack.png").exists()
