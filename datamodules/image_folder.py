"""Pictures of one's own, in a folder for each class."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.datasets import ImageFolder

from regularizer_collection.datamodules.image_data_module import ImageDataModule, Split

_MEAN, _STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


class ImageFolderDataModule(ImageDataModule):
    """Pictures in ``train/<class>/`` and ``test/<class>/``, as torchvision's ``ImageFolder`` reads.

    All have the size of the first and are kept in memory; classes are numbered in the order of
    their names.

    Args:
        data_dir: Folder that holds ``train`` and ``test``.
        grey: Reads one channel instead of three.
        mean: Mean pixel of each channel, from 0 to 1.
        std: Standard deviation of each channel's pixels.
        **kwargs: See :class:`ImageDataModule`.

    Raises:
        FileNotFoundError: If there is no folder of a class.
        ValueError: If an argument is out of range, or mean and std are not of the channels.
    """

    def __init__(
        self,
        data_dir: str = "data",
        grey: bool = False,
        mean: tuple[float, ...] = _MEAN,
        std: tuple[float, ...] = _STD,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.data_dir = Path(data_dir).expanduser()
        self.mode = "L" if grey else "RGB"
        channels = 1 if grey else 3
        self.mean, self.std = (
            tuple(given)[:channels] if tuple(given) == default else tuple(given)
            for given, default in ((mean, _MEAN), (std, _STD))
        )
        if not len(self.mean) == len(self.std) == channels or not min(self.std) > 0:
            raise ValueError(
                f"mean is {mean} and std {std}; give {channels} "
                f"number{'s' if channels > 1 else ''} each, std above 0"
            )
        self.num_classes = len(self._classes("train"))

    def _classes(self, split: Split) -> list[str]:
        folder = self.data_dir / split
        classes = sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
        if not classes:
            raise FileNotFoundError(
                f"{folder.resolve()} has no folder of a class; point --data.data_dir at a folder "
                "with train/<class>/ and test/<class>/"
            )
        return classes

    def load(self, split: Split) -> tuple[Tensor, Tensor]:
        """Reads images [samples, height, width, channels] (uint8) and labels [samples].

        Raises:
            FileNotFoundError: If a class has no picture.
            ValueError: If the splits have other classes, or a picture has another size.
        """
        if self._classes(split) != self._classes("train"):
            raise ValueError(
                f"{split} has the classes {', '.join(self._classes(split))}, train "
                f"{', '.join(self._classes('train'))}; give both the same folders"
            )
        pictures = ImageFolder(str(self.data_dir / split), loader=self._read)
        arrays = [array for array, _ in pictures]
        for (path, _), array in zip(pictures.samples, arrays, strict=True):
            if array.shape != arrays[0].shape:
                raise ValueError(
                    f"{path} is {array.shape[1]} x {array.shape[0]} pixels, the first picture "
                    f"{arrays[0].shape[1]} x {arrays[0].shape[0]}; give all the same size"
                )
        return torch.from_numpy(np.stack(arrays)), torch.tensor(pictures.targets)

    def _read(self, path: str) -> np.ndarray:
        try:
            with Image.open(path) as picture:
                has_more_bits = picture.mode.startswith(("I", "F"))
                array = np.asarray(picture.convert(self.mode))
        except OSError as error:
            raise ValueError(f"{path} cannot be read ({error}); mend or delete it") from error
        if has_more_bits:  # which Pillow would cut off at 255
            raise ValueError(f"{path} has more than 8 bits a value; convert it to 8 bits")
        return array[..., None] if array.ndim == 2 else array
