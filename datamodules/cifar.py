"""CIFAR-100 (Krizhevsky 2009)."""

import shutil
import tarfile
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlopen

import numpy as np
import torch
from rich.progress import wrap_file
from torch import Tensor
from torchvision.datasets import CIFAR100
from torchvision.datasets.utils import check_integrity

from regularizer_collection.datamodules.image_data_module import ImageDataModule, Split
from regularizer_collection.datamodules.restricted_unpickler import load_arrays

_PATIENCE = 30.0  # seconds without a byte


class CIFAR100DataModule(ImageDataModule):
    """50,000 training and 10,000 test images of 32x32 pixels in 100 classes.

    Args:
        data_dir: Folder that holds, or will hold, ``cifar-100-python``.
        batch_size: Samples of a step, which all processes share.
        val_size: Training images held out for validation, the same number of each class.
        download: Downloads what is missing.
        verify: Refuses files whose checksum is not the official one. Files are read without
            running code either way.
        augment: Crops and flips training images at random.
        seed: Seed of shuffling, augmentation and the held-out part.

    Raises:
        ValueError: If an argument is out of range.
    """

    num_classes = 100
    mean = (0.5071, 0.4865, 0.4409)
    std = (0.2009, 0.1984, 0.2023)

    def __init__(
        self,
        data_dir: str = "data",
        batch_size: int = 100,
        val_size: int = 0,
        download: bool = True,
        verify: bool = True,
        augment: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, val_size, augment, seed)
        self.data_dir = Path(data_dir)
        self.download = download
        self.verify = verify

    def prepare_data(self) -> None:
        """Unpacks the archive in ``data_dir``, or downloads it, where a file is missing.

        Raises:
            FileNotFoundError: If files are missing and cannot be downloaded.
            ValueError: If a file's checksum is not the official one and ``verify`` is set.
        """
        missing = [s for s in ("train", "test") if not self._path(s).is_file()]
        archive = self.data_dir / CIFAR100.filename
        if missing and archive.is_file():
            self._unpack(archive, missing)
        elif missing:
            self._download(missing)
        if self.verify:
            self._check_integrity()

    def _path(self, split: str) -> Path:
        return self.data_dir / CIFAR100.base_folder / split

    def _download(self, missing: list[str]) -> None:
        reason = "download is false"
        if self.download:
            try:
                self._fetch(missing)
                return
            except (OSError, HTTPException, ValueError, tarfile.TarError) as error:
                reason = f"the download failed: {error}, from {CIFAR100.url}"
        folder = self._path("train").parent.resolve()
        raise FileNotFoundError(
            f"CIFAR-100 not found: {folder} has no {' and no '.join(missing)}, and {reason}; point "
            "--data.data_dir at the parent of a cifar-100-python folder, or train without any "
            "download on drawn images with --config demo.yaml"
        )

    def _fetch(self, missing: list[str]) -> None:
        """Puts the official files where they are missing, each whole or not at all."""
        folder = self._path("train").parent
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="download_", dir=folder) as temporary:
            archive = Path(temporary) / CIFAR100.filename
            with (
                urlopen(CIFAR100.url, timeout=_PATIENCE) as response,
                wrap_file(response, response.length or 0, description="CIFAR-100") as content,
                archive.open("wb") as file,
            ):
                shutil.copyfileobj(content, file)
            if not check_integrity(archive, CIFAR100.tgz_md5):
                raise ValueError(
                    f"{archive.stat().st_size} bytes of {response.headers.get_content_type()} came "
                    f"whose checksum is not the official {CIFAR100.tgz_md5}"
                )
            self._unpack(archive, missing)

    def _unpack(self, archive: Path, missing: list[str]) -> None:
        """Takes what is missing out of the official archive, each file whole or not at all."""
        folder = self._path("train").parent
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="unpacked_", dir=folder) as temporary:
            with tarfile.open(archive) as members:
                members.extractall(temporary, filter="data")
            for split in missing:
                (Path(temporary) / CIFAR100.base_folder / split).replace(self._path(split))

    def _check_integrity(self) -> None:
        for name, md5 in CIFAR100.train_list + CIFAR100.test_list:
            if not check_integrity(self._path(name), md5):
                raise ValueError(
                    f"{self._path(name)} has not the official checksum {md5}; delete it to "
                    "download it again, or accept this copy with --data.verify false"
                )

    def load(self, split: Split) -> tuple[Tensor, Tensor]:
        """Reads images [samples, 32, 32, 3] (uint8) and fine labels [samples].

        Raises:
            ValueError: If the file is damaged or not CIFAR-100.
        """
        content = load_arrays(self._path(split))
        rows = np.asarray(content.get("data"))
        labels = np.asarray(content.get("fine_labels"))
        if rows.dtype != np.uint8 or rows.shape[1:] != (3072,) or labels.shape != rows.shape[:1]:
            raise ValueError(
                f"{self._path(split)} holds data of shape {rows.shape} and labels of shape "
                f"{labels.shape}, not CIFAR-100's; delete it and download it again"
            )
        images = np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        return torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))
