from pathlib import Path

import pytest
import torch
from torch import nn
from torchmetrics.functional.classification import multiclass_calibration_error

from regularizer_collection.callbacks import Calibration
from regularizer_collection.callbacks.calibration import _shuffled
from regularizer_collection.functional.calibration import fitted_temperature
from regularizer_collection.lightning_modules import NoRegClassifier


def measured(make_trainer, data, backbone=None, **options):
    torch.manual_seed(0)
    backbone = backbone or nn.Sequential(nn.Flatten(), nn.Linear(3072, 100))
    calibration = Calibration(**({"num_foreign": 30} | options))
    trainer = make_trainer(callbacks=[calibration])
    trainer.test(NoRegClassifier(backbone), data, verbose=False)
    return calibration.record, trainer, backbone


def logits_and_labels(data, backbone, split="test"):
    images, labels = data.images_and_labels(split)
    with torch.no_grad():
        return backbone(data.normalize(images)), labels


def test_the_scores_are_those_of_all_test_images(make_trainer, tiny_data):
    record, trainer, backbone = measured(make_trainer, tiny_data)
    logits, labels = logits_and_labels(tiny_data, backbone)
    nll = nn.functional.cross_entropy(logits, labels).item()
    assert record["num_images"] == 60
    assert record["nll"] == pytest.approx(nll, rel=1e-5)
    assert trainer.callback_metrics["test/nll"].item() == pytest.approx(nll, rel=1e-5)
    one_hot = nn.functional.one_hot(labels, 100)
    brier = (logits.softmax(1) - one_hot).square().sum(1).mean().item()
    assert record["brier"] == pytest.approx(brier, rel=1e-5)
    # One bin is the same for bins of equal mass and of equal width.
    gap = multiclass_calibration_error(logits.softmax(1), labels, 100, n_bins=1).item()
    confidence = sum(
        c * n for c, n in zip(record["bins"]["confidence"], record["bins"]["counts"], strict=True)
    )
    accuracy = sum(
        a * n for a, n in zip(record["bins"]["accuracy"], record["bins"]["counts"], strict=True)
    )
    assert abs(confidence - accuracy) / 60 == pytest.approx(gap, rel=1e-4)
    assert record["calibration_error"] >= gap - 1e-6
    assert record["calibration_error_if_calibrated"] > 0


def test_a_temperature_is_fitted_only_where_images_were_held_out(make_trainer, tiny_data):
    record, _, _ = measured(make_trainer, tiny_data)
    assert "temperature" not in record
    tiny_data.val_size = 20
    tiny_data._splits.clear()
    record, _, backbone = measured(make_trainer, tiny_data)
    logits, labels = logits_and_labels(tiny_data, backbone, "val")
    assert record["temperature"] == pytest.approx(fitted_temperature(logits, labels), rel=1e-3)
    tests, test_labels = logits_and_labels(tiny_data, backbone)
    nll = nn.functional.cross_entropy(tests / record["temperature"], test_labels).item()
    assert record["with_temperature"]["nll"] == pytest.approx(nll, rel=1e-5)


def test_foreign_images_are_of_every_kind_that_fits_the_data(make_trainer, tiny_data):
    record, _, _ = measured(make_trainer, tiny_data)
    assert set(record["foreign_images"]) == {"uniform_noise", "normal_noise", "shuffled_blocks"}
    for scores in record["foreign_images"].values():
        for of_score in scores.values():
            assert 0 <= of_score["auroc"] <= 1
            assert 0 <= of_score["fpr95"] <= 1
    tenth, _, _ = measured(make_trainer, tiny_data, num_foreign=None)
    assert tenth["foreign_images"].keys() == record["foreign_images"].keys()
    none, _, _ = measured(make_trainer, tiny_data, num_foreign=0)
    assert none["foreign_images"] == {}


def test_a_network_that_knows_noise_tells_it_apart(make_trainer, tiny_data):
    class Smooth(nn.Module):
        """Is sure of images whose neighbouring pixels are alike."""

        def forward(self, images):
            steps = images.diff(dim=3).abs().mean((1, 2, 3))
            return torch.cat([-10 * steps[:, None], images.new_zeros(len(images), 99) - 20], 1)

    record, _, _ = measured(make_trainer, tiny_data, Smooth())
    told_apart = {"auroc": 1.0, "fpr95": 0.0}
    of_noise = record["foreign_images"]["uniform_noise"]
    assert of_noise == {"largest_probability": told_apart, "logsumexp": told_apart}


def test_shuffled_blocks_hold_the_pixels_of_the_image(tiny_data):
    tiny_data.setup("test")
    images = tiny_data.images_and_labels("test")[0][:3]
    shuffled = _shuffled(images, torch.Generator().manual_seed(0))
    assert not torch.equal(shuffled, images)
    for ours, given in zip(shuffled, images, strict=True):
        assert torch.equal(ours.flatten().sort().values, given.flatten().sort().values)
    blocks = {
        images[0, r : r + 8, c : c + 8].numpy().tobytes()
        for r in range(0, 32, 8)
        for c in range(0, 32, 8)
    }
    assert shuffled[0, :8, :8].numpy().tobytes() in blocks


def test_shuffled_images_are_not_of_the_first_class_alone(tiny_data):
    tiny_data.setup("test")
    images, labels = tiny_data.images_and_labels("test")
    sorted_images = images[labels.argsort(stable=True)]
    tiny_data._splits["test"] = sorted_images, labels.sort().values
    foreign = dict(Calibration(num_foreign=10)._foreign(tiny_data))["shuffled_blocks"]
    bags = [image.flatten().sort().values for image in sorted_images]
    found = [
        next(n for n, bag in enumerate(bags) if torch.equal(bag, image.flatten().sort().values))
        for image in foreign
    ]
    assert len(set(found)) == 10
    assert max(found) > 20
    tiny_data._splits["test"] = images, labels  # not sorted, of which the first ones are as good
    foreign = dict(Calibration(num_foreign=10)._foreign(tiny_data))["shuffled_blocks"]
    for image, first in zip(foreign, images[:10], strict=True):
        assert torch.equal(image.flatten().sort().values, first.flatten().sort().values)


def test_nothing_is_recorded_where_a_logit_is_not_finite(make_trainer, tiny_data):
    class Overflowing(nn.Module):
        def forward(self, images):
            logits = images.flatten(1)[:, :100].clone()
            return logits.masked_fill(images.sum((1, 2, 3))[:, None] > 500, float("inf"))

    with pytest.warns(UserWarning, match="no calibration is recorded: logits of .* not finite"):
        record, trainer, _ = measured(make_trainer, tiny_data, Overflowing())
    assert record == {}
    assert "test/nll" not in trainer.callback_metrics
    assert "test/accuracy" in trainer.callback_metrics


def test_a_diagram_is_left_in_the_runs_folder(make_trainer, tiny_data):
    _, trainer, _ = measured(make_trainer, tiny_data)
    assert (
        Path(trainer.default_root_dir) / "calibration" / "reliability.png"
    ).stat().st_size > 1000


def test_refuses_a_negative_number_of_images():
    with pytest.raises(ValueError, match="num_foreign is -1; give 0 or more"):
        Calibration(num_foreign=-1)
