"""CIFAR-100 (Krizhevsky 2009)."""

from typing import Any

from torchvision.datasets import CIFAR100

from regularizer_collection.datamodules.cifar import CIFARDataModule


class CIFAR100DataModule(CIFARDataModule):
    """500 training and 100 test images in each of 100 classes, or 20 classes of 5 of them.

    Args:
        *args: See :class:`CIFARDataModule`; the archive's folder is ``cifar-100-python``.
        coarse: Takes the 20 superclasses for classes.
        **kwargs: See :class:`CIFARDataModule`.

    Raises:
        ValueError: If an argument is out of range.
    """

    title = "CIFAR-100"
    source = CIFAR100
    mean = (0.5071, 0.4865, 0.4409)
    std = (0.2009, 0.1984, 0.2023)

    def __init__(self, *args: Any, coarse: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.num_classes = 20 if coarse else 100
        self.labels_key = "coarse_labels" if coarse else "fine_labels"
