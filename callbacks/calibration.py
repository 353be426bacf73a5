"""How far the probabilities of a network can be believed."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor

from regularizer_collection.callbacks.calibration_figure import reliability_figure
from regularizer_collection.callbacks.log_alike import log_alike
from regularizer_collection.callbacks.measurement import Measurement, Subject, data_of, show
from regularizer_collection.datamodules.image_data_module import ImageDataModule
from regularizer_collection.datamodules.shape_drawing import draw_shapes
from regularizer_collection.datamodules.shapes100 import Shapes100DataModule
from regularizer_collection.functional.calibration import (
    area_under_roc,
    brier_score,
    error_if_calibrated,
    false_positive_rate_95,
    fitted_temperature,
    negative_log_likelihood,
    reliability_bins,
)
from regularizer_collection.functional.checks import check_at_least
from regularizer_collection.functional.seeding import derive_seed

_CHUNK = 500
_BLOCK = 8


class Calibration(Measurement):
    """Measures the likelihood of the labels, calibration, and how foreign images are told apart.

    On all test images: negative log-likelihood and Brier score, which are proper scores, and the
    calibration error over 15 bins of equally many images beside what chance alone would make of it;
    all three also with a temperature fitted on held-out images where ``val_size`` holds some out.
    Foreign images are drawn shapes (for 32x32 colour images), uniform and normal noise, and test
    images whose blocks of 8x8 pixels are shuffled; the scores are the largest probability and
    logsumexp of the logits. Nothing is recorded where a logit is not finite. Logged as
    ``test/nll``, ``test/brier``, ``test/calibration_error``.

    Args:
        num_foreign: Number of foreign images of each kind, 0 to leave them out; None takes a tenth
            of the number of test images.
        seed: Seed of the foreign images.

    Raises:
        ValueError: If ``num_foreign`` is below 0.
    """

    section = "calibration"

    def __init__(self, num_foreign: int | None = None, seed: int = 0) -> None:
        super().__init__()
        check_at_least("num_foreign", 0 if num_foreign is None else num_foreign, 0)
        self.num_foreign = num_foreign
        self.seed = seed

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuses, before anything is trained, data that do not fit the model.

        Raises:
            ValueError: If they do not.
        """
        if stage in ("fit", "test"):
            data_of(trainer, pl_module)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measures, logs the means and prints them."""
        self.record = {}
        with self.subject(trainer, pl_module) as subject:
            data = subject.data
            sets = {"test": data.images_and_labels("test")[0]}
            if data.val_size:
                sets["val"] = data.images_and_labels("val")[0]
            sets |= dict(self._foreign(data))
            logits = self._logits(sets, subject, trainer)
        if logits is None:
            return
        if lost := sum(int((~values.isfinite()).any(1).sum()) for values in logits.values()):
            rank_zero_warn(f"no calibration is recorded: logits of {lost} images are not finite")
            return
        labels = {name: data.images_and_labels(name)[1] for name in ("test", "val") if name in sets}
        self.record = _scores(logits["test"], labels["test"])
        if "val" in labels:
            temperature = fitted_temperature(logits["val"], labels["val"])
            self.record["temperature"] = temperature
            self.record["with_temperature"] = _scores(logits["test"] / temperature, labels["test"])
        self.record["foreign_images"] = {
            name: _told_apart(logits["test"], logits[name])
            for name in sets
            if name not in ("test", "val")
        }
        for name in ("nll", "brier", "calibration_error"):
            log_alike(pl_module, f"test/{name}", self.record[name])
            rank_zero_info(f"{name}: {self.record[name]:.4g}, {len(labels['test'])} images")
        if trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            bins = self.record["bins"]
            figure = reliability_figure(bins["confidence"], bins["accuracy"])
            show("reliability", figure, trainer, "test", self.section)

    def _logits(
        self, sets: dict[str, Tensor], subject: Subject, trainer: Trainer
    ) -> dict[str, Tensor] | None:
        """Classifies sets of uint8 images, of which every process takes chunks."""
        chunks = [(name, start) for name in sets for start in range(0, len(sets[name]), _CHUNK)]

        def classify(chunk: tuple[str, int], number: int) -> Tensor:
            name, start = chunk
            images = subject.data.normalize(sets[name][start : start + _CHUNK])
            return subject.model(subject.place(images)).float().cpu()

        found = self.measure_each("Parts of calibration", chunks, classify, trainer)
        if len(found) < len(chunks):
            return None
        return {
            name: torch.cat([found[n] for n, chunk in enumerate(chunks) if chunk[0] == name])
            for name in sets
        }

    def _foreign(self, data: ImageDataModule) -> Iterator[tuple[str, Tensor]]:
        """Yields images of no class of the data, uint8 and of the shape of its own."""
        test = data.images_and_labels("test")[0]
        shape = test.shape[1:]
        number = -(-len(test) // 10) if self.num_foreign is None else self.num_foreign
        if not number:
            return
        if shape == (32, 32, 3) and not isinstance(data, Shapes100DataModule):
            yield "shapes", draw_shapes(number, derive_seed("foreign", self.seed))[0]
        size = (number, *shape)
        generator = torch.Generator().manual_seed(derive_seed("foreign noise", self.seed))
        yield "uniform_noise", torch.randint(256, size, generator=generator, dtype=torch.uint8)
        normal = 127.5 + 64 * torch.randn(size, generator=generator)
        yield "normal_noise", normal.round().clamp(0, 255).to(torch.uint8)
        if shape[0] % _BLOCK == 0 and shape[1] % _BLOCK == 0:
            labels = data.images_and_labels("test")[1]
            order = torch.arange(len(test))
            if (labels.diff() >= 0).all():  # sorted, so that the first ones would be of one class
                seed = derive_seed("foreign shuffled", self.seed)
                order = torch.randperm(len(test), generator=torch.Generator().manual_seed(seed))
            yield "shuffled_blocks", _shuffled(test[order[:number]], generator)


def _shuffled(images: Tensor, generator: torch.Generator) -> Tensor:
    """Shuffles the blocks of 8x8 pixels of each image [images, height, width, channels]."""
    number, height, width, channels = images.shape
    rows, columns = height // _BLOCK, width // _BLOCK
    blocks = images.reshape(number, rows, _BLOCK, columns, _BLOCK, channels).transpose(2, 3)
    blocks = blocks.reshape(number, rows * columns, _BLOCK, _BLOCK, channels)
    order = torch.rand(number, rows * columns, generator=generator).argsort(1)
    blocks = blocks[torch.arange(number)[:, None], order]
    blocks = blocks.view(number, rows, columns, _BLOCK, _BLOCK, channels).transpose(2, 3)
    return blocks.reshape(images.shape)


def _scores(logits: Tensor, labels: Tensor) -> dict[str, Any]:
    confidence, predicted = logits.softmax(1).max(1)
    bins = reliability_bins(confidence, predicted == labels)
    return {
        "num_images": len(labels),
        "nll": negative_log_likelihood(logits, labels).double().mean().item(),
        "brier": brier_score(logits, labels).double().mean().item(),
        "calibration_error": bins.error,
        "calibration_error_if_calibrated": error_if_calibrated(confidence),
        "bins": {name: values.tolist() for name, values in bins._asdict().items()},
    }


_CERTAINTIES: dict[str, Callable[[Tensor], Tensor]] = {
    "largest_probability": lambda logits: logits.softmax(1).amax(1),
    "logsumexp": lambda logits: logits.logsumexp(1),
}


def _told_apart(test: Tensor, foreign: Tensor) -> dict[str, dict[str, float]]:
    return {
        name: {
            "auroc": area_under_roc(certainty(test), certainty(foreign)),
            "fpr95": false_positive_rate_95(certainty(test), certainty(foreign)),
        }
        for name, certainty in _CERTAINTIES.items()
    }
