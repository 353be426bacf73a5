"""What the classifiers are trained on."""

from datamodules.cifar100 import CIFAR100DataModule
from datamodules.image_data_module import ImageDataModule
from datamodules.shapes100 import Shapes100DataModule

__all__ = ["CIFAR100DataModule", "ImageDataModule", "Shapes100DataModule"]
