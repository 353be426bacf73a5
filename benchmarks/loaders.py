"""The data sets as torchvision's recipes feed them: PIL, transforms, DataLoader, two workers."""

from typing import Any

from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import Compose, Normalize, ToTensor

from regularizer_collection.datamodules import (
    CIFAR100DataModule,
    ImageDataModule,
    Shapes100DataModule,
)


class TransformedImages(Dataset[tuple[Tensor, int]]):
    """Images that pass through transforms one by one."""

    def __init__(self, data: ImageDataModule) -> None:
        images, labels = data.images_and_labels("train")
        self.images = images.numpy()
        self.labels = labels.tolist()
        self.transform = Compose([ToTensor(), Normalize(data.mean, data.std)])

    def __len__(self) -> int:
        """Number of images."""
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Transforms one image."""
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


class _Loading(ImageDataModule):
    def train_dataloader(self) -> DataLoader[tuple[Tensor, int]]:  # type: ignore[override]
        """Shuffled training batches from two workers."""
        images = TransformedImages(self)
        return DataLoader(images, self.batch_size, shuffle=True, num_workers=2)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Leaves the transformed batch alone."""
        return batch


class LoadingCIFAR100(_Loading, CIFAR100DataModule):
    """CIFAR-100 through a DataLoader."""


class LoadingShapes100(_Loading, Shapes100DataModule):
    """Shapes100 through a DataLoader."""
