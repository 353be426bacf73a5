"""The shared backbone."""

from typing import Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models.resnet import BasicBlock, ResNet

from regularizer_collection.backbones.layers import (
    LiveTapConv2d,
    TwiceDifferentiableBatchNorm2d,
    TwiceDifferentiableMaxPool2d,
)
from regularizer_collection.backbones.structure import structure
from regularizer_collection.functional.checks import check_at_least, check_between

_TWICE_DIFFERENTIABLE = (
    LiveTapConv2d,
    TwiceDifferentiableBatchNorm2d,
    TwiceDifferentiableMaxPool2d,
)


class ResNet18(ResNet):
    """torchvision's resnet18 with dropout before the last layer.

    Parameter names, shapes and outputs are torchvision's, so state dicts interchange. Only the
    layers' implementation differs, and memory format is channels_last.

    Args:
        num_classes: Number of logits.
        dropout: Probability of zeroing a feature before ``fc``.
        stem: "imagenet" is torchvision's 7x7 convolution of stride 2 with max-pool; "cifar" is a
            3x3 convolution of stride 1 without max-pool, for small images.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        num_classes: int = 100,
        dropout: float = 0.5,
        stem: Literal["imagenet", "cifar"] = "imagenet",
    ) -> None:
        check_between("dropout", dropout, 0, 1)
        check_at_least("num_classes", num_classes, 1)
        if stem not in ("imagenet", "cifar"):
            raise ValueError(f"stem is {stem!r}; give 'imagenet' or 'cifar'")
        super().__init__(
            BasicBlock,
            [2, 2, 2, 2],
            num_classes=num_classes,
            norm_layer=TwiceDifferentiableBatchNorm2d,
        )
        if stem == "cifar":
            self.conv1 = nn.Conv2d(3, 64, kernel_size=3, padding=1, bias=False)
            nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")
            self.maxpool: nn.Module = nn.Identity()
        else:
            self.maxpool = TwiceDifferentiableMaxPool2d(kernel_size=3, stride=2, padding=1)
        self.dropout = nn.Dropout(dropout)
        self.arguments: dict[str, Any] = {
            "num_classes": num_classes,
            "dropout": dropout,
            "stem": stem,
        }
        for module in list(self.modules()):
            for name, child in module.named_children():
                if isinstance(child, nn.Conv2d):
                    setattr(module, name, LiveTapConv2d.from_conv2d(child))
        self.to(memory_format=torch.channels_last)
        self._built = structure(self)

    def is_as_built(self) -> bool:
        """Tells whether the network can be made again from its arguments: no layer was changed."""
        return type(self) is ResNet18 and structure(self) == self._built

    def forward(self, images: Tensor) -> Tensor:
        """Maps images [batch, 3, height, width] to logits [batch, classes]."""
        for module in self.modules():
            if isinstance(module, _TWICE_DIFFERENTIABLE):
                module.twice_differentiable = images.requires_grad
        # Max-pool and ReLU commute; in this order ReLU sees a quarter of the pixels.
        # Not in place, which torch.func's transforms could not follow.
        x = F.relu(self.maxpool(self.bn1(self.conv1(images))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.dropout(self.avgpool(x).flatten(1)))

    def folded(self) -> Self:
        """Makes a network for inference, each batch normalisation folded into its convolution.

        What is left as it is shares its memory with this one.
        """
        with torch.device("meta"):
            network = type(self)(**self.arguments)
        network.load_state_dict(
            {name: tensor.detach() for name, tensor in self.state_dict().items()},
            assign=True,
        )
        network.eval().requires_grad_(False)
        for module in network.modules():
            for conv_name, norm_name in (("conv1", "bn1"), ("conv2", "bn2"), ("0", "1")):
                conv, norm = getattr(module, conv_name, None), getattr(module, norm_name, None)
                if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    fused = fuse_conv_bn_eval(conv, norm)
                    setattr(module, conv_name, fused)
                    setattr(module, norm_name, nn.Identity())
        return network
