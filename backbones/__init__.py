"""The networks: from images to logits."""

from regularizer_collection.backbones.lenet import LeNet
from regularizer_collection.backbones.resnet18 import ResNet18

__all__ = ["LeNet", "ResNet18"]
