"""The base of what is measured of a trained network."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar, cast

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher
from pytorch_lightning.utilities import rank_zero_warn
from pytorch_lightning.utilities.exceptions import SIGTERMException
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from regularizer_collection.callbacks.deferred_signals import (
    ENDING,
    DeferredSignals,
    signals_of_all,
)
from regularizer_collection.callbacks.measured_parts import MeasuredParts
from regularizer_collection.datamodules.current_datamodule import current_datamodule
from regularizer_collection.datamodules.image_data_module import ImageDataModule
from regularizer_collection.functional.pixels import PixelSpace

Item = TypeVar("Item")
Value = TypeVar("Value")


class Subject(NamedTuple):
    """A network in eval mode, and the test images it is measured on.

    Attributes:
        model: Maps normalised images [batch, channels, height, width] to logits [batch, classes].
        data: The data, set up.
        device: Device of the model.
        dtype: Type of what the model takes and returns: that of its weights, or float32 where these
            have fewer bits, in which images a little apart would be one.
    """

    model: Callable[[Tensor], Tensor]
    data: ImageDataModule
    device: torch.device
    dtype: torch.dtype

    def images(self, indices: Sequence[int]) -> Tensor:
        """Returns normalised test images [images, channels, height, width], on the CPU."""
        return self.data.normalize(self.data.images_and_labels("test")[0][list(indices)])

    def place(self, tensor: Tensor) -> Tensor:
        """Brings a tensor to the device and the type of the model."""
        return tensor.to(self.device, self.dtype)

    def pixels(self, indices: Sequence[int]) -> Tensor:
        """Returns test images as pixels from 0 to 1 [images, channels, height, width], placed."""
        images = self.data.images_and_labels("test")[0][list(indices)]
        return self.place(images.permute(0, 3, 1, 2)) / 255

    def labels(self, indices: Sequence[int]) -> Tensor:
        """Returns the labels of test images [images], on the device."""
        return self.data.images_and_labels("test")[1][list(indices)].to(self.device)

    def logits(self, pixels: Tensor) -> Tensor:
        """Maps pixels from 0 to 1 [images, channels, height, width] to logits [images, classes]."""
        return self.model(PixelSpace(self.data.mean, self.data.std).normalise(pixels))


class Measurement(Callback):
    """Measures items that are the same for every network, on any number of processes.

    A subclass draws its items from a seed, measures each with :meth:`measure_each`, and leaves what
    it found in :attr:`record`, which becomes a section of the run's results.

    Ctrl-C ends the measurement with what is done, in a training all of it; SIGTERM ends the whole
    test. Of several processes each stops when the signal comes to it; where it comes to one alone,
    which Ctrl-C in a terminal does not, that one waits until the others have measured their shares.

    Attributes:
        record: What was found; empty where nothing was measured.
        is_interrupted: Whether a Ctrl-C kept it from measuring all.
    """

    section: ClassVar[str]
    """Name of the section."""

    def __init__(self) -> None:
        self.record: dict[str, Any] = {}
        self.is_interrupted = False

    @contextmanager
    def subject(self, trainer: Trainer, pl_module: LightningModule) -> Iterator[Subject]:
        """Lends the network in eval mode, together with the data.

        Raises:
            ValueError: If the data has no test images in memory, does not fit the model, or
                prepares them otherwise than by its mean and standard deviation.
        """
        data = data_of(trainer, pl_module)
        if trainer.testing:
            _check_preparation(trainer, data)
        self.is_interrupted = False
        dtype = cast(torch.dtype, pl_module.dtype)
        # In setup Lightning already names the device to which it moves the weights later.
        device = next((weight.device for weight in pl_module.parameters()), pl_module.device)
        # Test runs in inference mode, whose tensors nothing could write to or differentiate.
        with (
            torch.inference_mode(False),
            torch.no_grad(),
            pl_module.for_inference() as model,  # type: ignore[operator]
        ):
            precise = torch.promote_types(dtype, torch.float32)

            def in_own_precision(images: Tensor) -> Tensor:
                return model(images.to(dtype)).to(precise)

            yield Subject(in_own_precision, data, device, precise)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuses after the first epoch, not the last, what the test would refuse.

        Raises:
            ValueError: If the data prepares images otherwise than by mean and standard deviation.
        """
        data = current_datamodule(trainer)
        if isinstance(data, ImageDataModule):
            _check_preparation(trainer, data)

    def measure_each(
        self,
        title: str,
        items: Sequence[Item],
        measure: Callable[[Item, int], Value],
        trainer: Trainer,
        parts: MeasuredParts | None = None,
    ) -> dict[int, Value]:
        """Measures items, of which every process takes its share.

        Args:
            title: What the progress bar says.
            items: The items.
            measure: Measures an item, given with its number.
            trainer: The trainer.
            parts: Where values are kept until all are measured, and taken from if they are there.

        Returns:
            What was measured by all processes, by the number of the item; not all after a Ctrl-C.
        """
        share = range(trainer.global_rank, len(items), trainer.world_size)
        values: dict[int, Value] = {}
        is_quiet = trainer.progress_bar_callback is None or trainer.global_rank > 0
        # A training of several processes answers signals itself, all of them at once.
        is_shared_test = trainer.testing and trainer.world_size > 1
        numbers = signals_of_all(trainer.strategy) if is_shared_test else ()
        with DeferredSignals(numbers) as signals, _progress(disable=is_quiet) as bar:
            task = bar.add_task(title, total=len(share))
            try:
                for number in share if not self.is_interrupted else ():
                    if signals.noted & ENDING:
                        break
                    if trainer.testing and trainer.received_sigterm:
                        raise SIGTERMException  # Lightning asks between batches alone
                    kept = None if parts is None else parts.load(number)
                    values[number] = measure(items[number], number) if kept is None else kept
                    if parts is not None and kept is None:
                        parts.save(number, values[number])
                    bar.advance(task)
            except KeyboardInterrupt:
                if not trainer.testing:  # part of an epoch's curve would look like a whole
                    raise
                self.is_interrupted = True
            if trainer.world_size > 1:
                values, noted = _of_all_processes(values, signals.take(), trainer)
                signals.noted -= noted  # which came to those that waited, too
                for number in noted - ENDING:
                    signals.answer(number)
                self.is_interrupted |= signal.SIGINT in noted
                if signal.SIGTERM in noted:
                    raise SIGTERMException
        if len(values) < len(items):
            rank_zero_warn(
                f"interrupted: the results hold {len(values)} of {len(items)} {title.lower()}"
            )
        return dict(sorted(values.items()))


def _of_all_processes(
    values: dict[int, Value], noted: set[int], trainer: Trainer
) -> tuple[dict[int, Value], set[int]]:
    """Exchanges what was measured, and which signals came."""
    launcher = trainer.strategy.launcher
    if signal.SIGTERM in noted and isinstance(launcher, _SubprocessScriptLauncher):
        launcher.kill(signal.SIGTERM)  # schedulers and studies send it to the first process alone
    shares: list[Any] = [None] * trainer.world_size
    torch.distributed.all_gather_object(shares, (values, noted))
    measured = {number: value for part, _ in shares for number, value in part.items()}
    return measured, set().union(*(signals for _, signals in shares))


def _check_preparation(trainer: Trainer, data: ImageDataModule) -> None:
    """Refuses data whose hooks change test images otherwise than by mean and std.

    The test would see the change, a measurement would not.
    """
    images, labels = (tensor[:2] for tensor in data.images_and_labels("test"))
    batch = data.on_before_batch_transfer((images, labels), 0)
    batch = data.transfer_batch_to_device(batch, trainer.strategy.root_device, 0)
    tested = data.on_after_batch_transfer(batch, 0)[0].float().cpu()
    measured = PixelSpace(data.mean, data.std).normalise(images.permute(0, 3, 1, 2) / 255)
    # 16 bits round, but not by so much.
    if tested.shape != measured.shape or not torch.allclose(tested, measured, 0.02, 0.02):
        raise ValueError(
            f"{type(data).__name__} prepares test images otherwise than by mean and std, as they "
            "are measured; change them in load, or in training alone (self.trainer.training)"
        )


def data_of(trainer: Trainer, pl_module: LightningModule) -> ImageDataModule:
    """Returns the data of a run.

    Raises:
        ValueError: If it has no test images in memory, or other classes than the model, or the
            model is no :class:`Classifier`.
    """
    data = current_datamodule(trainer)
    if not isinstance(data, ImageDataModule):
        found = "of loaders" if data is None else type(data).__name__
        raise ValueError(f"the data is {found}; measurements need a subclass of ImageDataModule")
    if not hasattr(pl_module, "for_inference"):
        raise ValueError(
            f"the model is {type(pl_module).__name__}; measurements need a subclass of Classifier"
        )
    if pl_module.num_classes != data.num_classes:
        raise ValueError(
            f"the model has {pl_module.num_classes} classes, the data {data.num_classes}; "
            "give --model.num_classes and the backbone's the number of the data"
        )
    return data


def show(name: str, figure: Figure, trainer: Trainer, prefix: str, section: str = "planes") -> None:
    """Leaves a figure as ``<section>/<name>.png`` in the run's folder, and in TensorBoard.

    Args:
        name: Name of the figure.
        figure: The figure.
        trainer: The trainer.
        prefix: What it is of in TensorBoard, such as "test".
        section: Folder of the picture.
    """
    folder = Path(trainer.default_root_dir) / section
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.png"
    figure.savefig(path, dpi=110)
    loggers: list[Any] = trainer.loggers
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            tag = f"{prefix}_{section}/{name}"
            pixels = np.array(Image.open(path).convert("RGB"))  # cheaper than to draw it again
            logger.experiment.add_image(tag, pixels, trainer.global_step, dataformats="HWC")
            logger.experiment.flush()


def _progress(disable: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        disable=disable,
    )
