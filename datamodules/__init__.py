"""What the classifiers are trained on."""

from regularizer_collection.datamodules.cifar10 import CIFAR10DataModule
from regularizer_collection.datamodules.cifar100 import CIFAR100DataModule
from regularizer_collection.datamodules.fashion_mnist import FashionMNISTDataModule
from regularizer_collection.datamodules.image_data_module import ImageDataModule
from regularizer_collection.datamodules.image_folder import ImageFolderDataModule
from regularizer_collection.datamodules.mnist import MNISTDataModule
from regularizer_collection.datamodules.shapes100 import Shapes100DataModule
from regularizer_collection.datamodules.textures10 import Textures10DataModule

__all__ = [
    "CIFAR10DataModule",
    "CIFAR100DataModule",
    "FashionMNISTDataModule",
    "ImageDataModule",
    "ImageFolderDataModule",
    "MNISTDataModule",
    "Shapes100DataModule",
    "Textures10DataModule",
]
