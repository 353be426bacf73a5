"""How much it takes to change what a network says."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from regularizer_collection.callbacks.attack_protocol import VERSION, AttackProtocol
from regularizer_collection.callbacks.log_alike import log_alike
from regularizer_collection.callbacks.measured_parts import MeasuredParts
from regularizer_collection.callbacks.measurement import Measurement, Subject, data_of, show
from regularizer_collection.callbacks.robustness_figure import attack_figure
from regularizer_collection.callbacks.robustness_record import robustness_record
from regularizer_collection.functional.attacks import fmn_l2
from regularizer_collection.functional.checks import check_at_least, check_between
from regularizer_collection.functional.packed_maps import decode_map
from regularizer_collection.functional.seeding import derive_seed
from regularizer_collection.functional.weights import weights_hash

_NUM_CHECKED = 200
_NUM_SHOWN = 6
_FEWEST = 1000


class Robustness(Measurement):
    """Measures accuracy under noise, attacks and corruptions, and distances to the boundary.

    All in pixels from 0 to 1, on the same test images for every network, as many of each class as
    of any other. Accuracies are shares of all images; those that are wrong before an attack stay
    wrong. A minimal distance is an upper bound: another attack might find a nearer image. Means are
    logged as ``test/<measure>_accuracy/<strength>``, ``test/median_distance_if_right``
    and ``test/flatness``; :attr:`record` keeps the value of every image.

    Noise, corruptions, FGSM and the PGD of Hoffman et al. 2019 (accuracy after each of 40 steps of
    1/255) have fixed settings, so that all networks can be compared. A test that was killed goes on
    with the next chunk of images.

    Args:
        num_images: Number of test images, 0 to skip the measurement. None takes a tenth of them,
            1,000 of CIFAR-100's, and none of fewer than 1,000, of which a tenth would say little.
        eps: Largest changes of a pixel under PGD from the worse of two random starts, from 0 to 1.
        num_steps: Steps of this PGD, each of a quarter of eps.
        distance_steps: Steps of the search for the nearest image of another class.
        chunk_size: Images that are measured at a time.
        seed: Seed of the choice of images, of noise, starts and directions.

    Raises:
        ValueError: If an argument is out of range.
    """

    section = "robustness"

    def __init__(
        self,
        num_images: int | None = None,
        eps: Sequence[float] = (0.5 / 255, 1 / 255, 2 / 255),
        num_steps: int = 20,
        distance_steps: int = 100,
        chunk_size: int = 200,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_at_least("num_images", 0 if num_images is None else num_images, 0)
        if not eps:
            raise ValueError("eps is empty; give at least one change of a pixel, such as 0.004")
        for value in eps:
            check_between("eps", value, 0, 1)
        check_at_least("num_steps", num_steps, 1)
        check_at_least("distance_steps", distance_steps, 1)
        check_at_least("chunk_size", chunk_size, 1)
        self.num_images = num_images
        self.chunk_size = chunk_size
        self.protocol = AttackProtocol(tuple(sorted(eps)), num_steps, distance_steps, seed)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuses, before anything is trained, what could not be measured afterwards.

        Raises:
            ValueError: If data and model do not fit, there are fewer images than asked for, or the
                logits of an image depend on those beside it.
        """
        if stage not in ("fit", "test") or self.num_images == 0:
            return
        available = len(data_of(trainer, pl_module).images_and_labels("test")[1])
        if self._wanted(available) > available:
            raise ValueError(
                f"robustness.num_images is {self.num_images}, the test split has {available} "
                "images; ask for fewer"
            )
        if self._wanted(available):
            with self.subject(trainer, pl_module) as subject:
                _check_independence(subject)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measures, logs the means and prints them."""
        self.record = {}
        if not self._wanted(len(data_of(trainer, pl_module).images_and_labels("test")[1])):
            return
        is_trial = bool(trainer.fast_dev_run)  # type: ignore[attr-defined]
        with self.subject(trainer, pl_module) as subject:
            indices = self._draw(subject.data.images_and_labels("test")[1])
            starts = range(0, len(indices), self.chunk_size)
            chunks = [indices[start : start + self.chunk_size] for start in starts]
            chunks = [chunks[0][:2]] if is_trial else chunks
            parts = None if is_trial else self._parts(indices, trainer, pl_module)

            def measure(chunk: list[int], number: int) -> dict[str, Tensor]:
                is_checked = number * self.chunk_size < _NUM_CHECKED
                return self.protocol.measure(subject, chunk, is_checked)

            measured = self.measure_each("Parts of robustness", chunks, measure, trainer, parts)
            if not measured:
                return
            done = [index for number in measured for index in chunks[number]]
            num_pixels = subject.pixels(done[:1]).numel()
            self.record = robustness_record(
                list(measured.values()), done, self.protocol, num_pixels
            ) | {"missing_images": len(indices) - len(done)}
            self._log(pl_module)
            if trainer.is_global_zero and not is_trial:
                show("attack", self._figure(subject, done), trainer, "test", self.section)
        if parts is not None and trainer.is_global_zero and len(measured) == len(chunks):
            parts.clear()

    def _wanted(self, available: int) -> int:
        if self.num_images is not None:
            return self.num_images
        return available // 10 if available >= _FEWEST else 0

    def _draw(self, labels: Tensor) -> list[int]:
        """Draws images, the classes in turn; the same for the same data and seed."""
        seed = derive_seed("robustness images", self.protocol.seed)
        shuffled = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
        turn = torch.zeros_like(labels)
        for label in labels.unique():
            of_class = shuffled[labels[shuffled] == label]
            turn[of_class] = torch.arange(len(of_class))
        return shuffled[turn[shuffled].argsort(stable=True)][: self._wanted(len(labels))].tolist()

    def _parts(
        self, indices: Sequence[int], trainer: Trainer, pl_module: LightningModule
    ) -> MeasuredParts:
        weights = weights_hash(pl_module.state_dict())
        settings = f"{VERSION} {self.protocol} {self.chunk_size} {trainer.precision}"
        key = f"{weights} {settings} {indices}"
        # Only the first process has looked at the data, by which a test's folder is called.
        folder = Path(trainer.strategy.broadcast(trainer.default_root_dir))
        return MeasuredParts(folder / self.section / "parts", key)

    def _log(self, pl_module: LightningModule) -> None:
        n = f"{self.record['num_images']} images"
        for name, value in _metrics(self.record).items():
            log_alike(pl_module, f"test/{name}", value)
            rank_zero_info(f"{name}: {value:.4g}, {n}")
        for sign in self.record["signs_of_gradient_masking"]:
            rank_zero_info(f"the attacks may be too weak to mean robustness: {sign}")

    def _figure(self, subject: Subject, indices: Sequence[int]) -> Any:
        is_right = decode_map(self.record["values"]["clean"])
        right = [index for index, flag in zip(indices, is_right, strict=True) if flag]
        shown = (right or list(indices))[:_NUM_SHOWN]
        pixels, labels = subject.pixels(shown), subject.labels(shown)
        nearest = fmn_l2(subject.logits, pixels, labels, self.protocol.distance_steps)
        nearest = torch.where(nearest.isnan(), pixels, nearest)
        classes = subject.logits(nearest).argmax(1).tolist()
        said = [f"{was} becomes {now}" for was, now in zip(labels.tolist(), classes, strict=True)]
        return attack_figure(pixels, nearest, said)


def _metrics(record: dict[str, Any]) -> dict[str, float]:
    """Returns what is logged: means that a comparison of networks looks at."""
    accuracy = record["accuracy"]
    metrics = {
        f"{group}_accuracy/{strength}": share
        for group in ("noise", "fgsm", "pgd")
        for strength, share in accuracy.get(group, {}).items()
    }
    metrics["corruption_accuracy"] = accuracy["corruptions"]
    for name in ("median_distance_if_right", "flatness"):
        if record[name] is not None:
            metrics[name] = record[name]
    return metrics


def _check_independence(subject: Subject) -> None:
    """Refuses a network whose logits of an image change with the images beside it."""
    available = len(subject.data.images_and_labels("test")[1])
    images = subject.place(subject.images(range(min(2, available))))
    together, alone = subject.model(images)[:1], subject.model(images[:1])
    # Other kernels may run for other batch sizes, and round otherwise.
    tolerance = 0.05 * together.abs().max().clamp(min=1.0)
    if (together - alone).abs().max() > tolerance:
        raise ValueError(
            "the logits of a test image change with the images beside it, by "
            f"{(together - alone).abs().max():.2g}; give a backbone that normalises with running "
            "statistics in eval mode, or --robustness.num_images 0"
        )
