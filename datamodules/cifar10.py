"""CIFAR-10 (Krizhevsky 2009)."""

from torchvision.datasets import CIFAR10

from regularizer_collection.datamodules.cifar import CIFARDataModule


class CIFAR10DataModule(CIFARDataModule):
    """5,000 training and 1,000 test images in each of 10 classes."""

    title = "CIFAR-10"
    source = CIFAR10
    labels_key = "labels"
    num_classes = 10
    mean = (0.4914, 0.4822, 0.4465)
    std = (0.2470, 0.2435, 0.2616)
