"""Fashion-MNIST (Xiao et al. 2017, arXiv 1708.07747)."""

from torchvision.datasets import FashionMNIST

from regularizer_collection.datamodules.mnist import MNISTDataModule


class FashionMNISTDataModule(MNISTDataModule):
    """MNIST's sizes and files, with pictures of clothes in place of digits."""

    source = FashionMNIST
    mean = (0.2860,)
    std = (0.3530,)
