"""MNIST (LeCun et al. 1998)."""

from pathlib import Path
from typing import ClassVar

from torch import Tensor
from torchvision.datasets import MNIST

from regularizer_collection.datamodules.image_data_module import ImageDataModule, Split
from regularizer_collection.datamodules.missing_files import missing_files


class MNISTDataModule(ImageDataModule):
    """60,000 training and 10,000 test images of digits: 28x28 grey pixels in 10 classes.

    Read and, where they are missing, downloaded by torchvision, which checks what it downloads.

    Args:
        data_dir: Folder that holds, or will hold, ``MNIST/raw`` with the unpacked files.
        batch_size: Samples of a step, which all processes share.
        val_size: Training images held out for validation, the same number of each class; below 1 a
            share of them.
        download: Downloads what is missing.
        seed: Seed of shuffling and the held-out part.

    Raises:
        ValueError: If an argument is out of range.
    """

    source: ClassVar[type[MNIST]] = MNIST
    num_classes = 10
    mean: tuple[float, ...] = (0.1307,)
    std: tuple[float, ...] = (0.3081,)

    def __init__(
        self,
        data_dir: str = "data",
        batch_size: int = 100,
        val_size: int | float = 0,
        download: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, val_size, seed=seed)
        self.data_dir = Path(data_dir).expanduser()
        self.download = download

    def prepare_data(self) -> None:
        """Downloads what is missing in ``data_dir``.

        Raises:
            FileNotFoundError: If files are missing and cannot be downloaded.
        """
        names = [Path(name).stem for name, _ in self.source.resources]
        missing = [name for name in names if not (self._folder / name).is_file()]
        if not missing:
            return
        reason = "download is false"
        if self.download:
            try:
                self.source(self.data_dir, download=True)
                return
            except (OSError, RuntimeError) as error:
                reason = f"the download failed: {' '.join(str(error).split())}"
        name = self.source.__name__
        raise missing_files(name, self._folder, missing, reason, name)

    @property
    def _folder(self) -> Path:
        return (self.data_dir / self.source.__name__ / "raw").resolve()

    def load(self, split: Split) -> tuple[Tensor, Tensor]:
        """Reads images [samples, 28, 28, 1] (uint8) and labels [samples].

        Raises:
            ValueError: If a file is damaged.
        """
        try:
            data = self.source(self.data_dir, train=split == "train")
        except (AssertionError, IndexError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(
                f"{self._folder} is not readable ({error}); delete it and download it again"
            ) from error
        return data.data.unsqueeze(3), data.targets
