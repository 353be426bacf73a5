"""LeNet-5 (LeCun et al. 1998) as Hoffman et al. (2019) train it."""

from typing import Any

from torch import Tensor, nn

from regularizer_collection.backbones.structure import structure
from regularizer_collection.functional.checks import check_at_least, check_between

_SIDE = 28


class LeNet(nn.Module):
    """Two convolutions and three linear layers for grey images of 28x28 pixels.

    As in Hoffman et al. (2019, section 3), ReLU and max-pooling stand for the paper's sigmoids and
    average pooling, and features are dropped before the last layer.

    Args:
        num_classes: Number of logits.
        dropout: Probability of zeroing a feature before the last layer.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, num_classes: int = 10, dropout: float = 0.5) -> None:
        super().__init__()
        check_at_least("num_classes", num_classes, 1)
        check_between("dropout", dropout, 0, 1)
        self.arguments: dict[str, Any] = {"num_classes": num_classes, "dropout": dropout}
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, kernel_size=5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, kernel_size=5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(16 * 5 * 5, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
        )
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(84, num_classes)
        self._built = structure(self)

    def is_as_built(self) -> bool:
        """Tells whether the network can be made again from its arguments: no layer was changed."""
        return type(self) is LeNet and structure(self) == self._built

    def forward(self, images: Tensor) -> Tensor:
        """Maps images [batch, 1, 28, 28] to logits [batch, classes].

        Raises:
            ValueError: If the images have another shape.
        """
        if images.shape[1:] != (1, _SIDE, _SIDE):
            raise ValueError(
                f"images are {tuple(images.shape[1:])}; LeNet takes grey images of (1, 28, 28): "
                "give --data MNISTDataModule or FashionMNISTDataModule, or another backbone"
            )
        return self.fc(self.dropout(self.features(images)))
