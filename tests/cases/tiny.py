"""A network of milliseconds, named in configs of tests."""

from torch import nn


class TinyNet(nn.Module):
    """Convolution, batch normalisation and a linear layer."""

    def __init__(self, num_classes: int = 100, width: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, stride=4, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.fc = nn.Linear(64 * width, num_classes)

    def forward(self, images):
        return self.fc(self.norm(self.conv(images)).relu().flatten(1))
