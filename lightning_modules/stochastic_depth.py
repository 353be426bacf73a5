"""Stochastic depth (Huang et al. 2016, arXiv 1603.09382)."""

from functools import partial
from typing import Any

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.ops import stochastic_depth

from regularizer_collection.functional.checks import check_between
from regularizer_collection.lightning_modules.classifier import Classifier


class StochasticDepthClassifier(Classifier):
    """The classifier whose backbone drops the residual branches of single samples in training.

    Branch i of L is dropped with probability p_last * i / L (section 3, equation 4). Where the
    paper scales the branches at test time, the kept ones are divided by their probability, which
    has the same mean.

    Args:
        p_last: Probability of the last branch.
        **kwargs: See :class:`Classifier`.

    Raises:
        ValueError: If ``p_last`` is out of range, or the backbone has no residual blocks.
    """

    def __init__(self, p_last: float = 0.2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_between("p_last", p_last, 0, 1)
        blocks = [b for b in self.backbone.modules() if isinstance(b, (BasicBlock, Bottleneck))]
        if not blocks:
            raise ValueError(
                f"{type(self.backbone).__name__} has no residual blocks of torchvision's, whose "
                "branches stochastic depth drops; give a ResNet"
            )
        self._blocks = blocks
        for number, block in enumerate(blocks, start=1):
            hook = partial(_drop, p_last * number / len(blocks))
            _last_layer(block).register_forward_hook(hook)

    def on_fit_start(self) -> None:
        """Refuses a network whose layers were replaced since, and with them what drops branches.

        Raises:
            ValueError: If one was.
        """
        super().on_fit_start()
        if not all(_last_layer(block)._forward_hooks for block in self._blocks):
            raise ValueError(
                "a layer that ends a residual branch was replaced, so nothing would be dropped; "
                "convert the backbone before it is given to the module"
            )


def _last_layer(block: BasicBlock | Bottleneck) -> nn.Module:
    return block.bn2 if isinstance(block, BasicBlock) else block.bn3


def _drop(probability: float, module: nn.Module, args: Any, branch: Tensor) -> Tensor:
    return stochastic_depth(branch, probability, "row", module.training)
