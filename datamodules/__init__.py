"""What the classifiers are trained on."""

from regularizer_collection.datamodules.cifar100 import CIFAR100DataModule
from regularizer_collection.datamodules.image_data_module import ImageDataModule
from regularizer_collection.datamodules.shapes100 import Shapes100DataModule

__all__ = ["CIFAR100DataModule", "ImageDataModule", "Shapes100DataModule"]
