"""A network of milliseconds and its data, named in configs of tests."""

from itertools import islice

import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from regularizer_collection.datamodules import ImageDataModule
from regularizer_collection.lightning_modules import NoRegClassifier


class TinyNet(nn.Module):
    """Convolution, batch normalisation and a linear layer."""

    def __init__(self, num_classes: int = 100, width: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, stride=4, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.fc = nn.Linear(64 * width, num_classes)

    def forward(self, images):
        return self.fc(self.norm(self.conv(images)).relu().flatten(1))


class TinyData(ImageDataModule):
    """Noise of 100 classes, whose class takes no arguments."""

    num_classes = 100
    mean = std = (0.5, 0.5, 0.5)

    def __init__(self) -> None:
        super().__init__(batch_size=50)

    def load(self, split):
        generator = torch.Generator().manual_seed(len(split))
        images = torch.randint(256, (100, 32, 32, 3), generator=generator, dtype=torch.uint8)
        return images, torch.arange(100)


class Stream(IterableDataset):
    """Batches without a number."""

    def __iter__(self):
        while True:
            yield torch.randint(256, (32, 32, 3), dtype=torch.uint8), torch.randint(100, ())


class StreamData(TinyData):
    """Trains on a stream."""

    def train_dataloader(self):
        return DataLoader(Stream(), batch_size=5)


class ShortStream(Stream):
    """Twelve batches, which nothing says beforehand."""

    def __iter__(self):
        return islice(super().__iter__(), 60)


class ShortStreamData(TinyData):
    """Trains on a stream that ends."""

    def train_dataloader(self):
        return DataLoader(ShortStream(), batch_size=5)


class MovedAtTheEnd(NoRegClassifier):
    """Moves its weights after all callbacks have seen the end of the training."""

    def on_train_end(self):
        with torch.no_grad():
            self.backbone.fc.bias += 1.0


def halved(epoch: int) -> float:
    """A factor of the learning rate."""
    return 0.5**epoch
