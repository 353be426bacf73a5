"""What CIFAR-10 and CIFAR-100 (Krizhevsky 2009) share: the archive and its files."""

import shutil
import tarfile
import zlib
from gzip import BadGzipFile
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar
from urllib.request import urlopen

import numpy as np
import torch
from rich.progress import wrap_file
from torch import Tensor
from torchvision.datasets import CIFAR10
from torchvision.datasets.utils import check_integrity

from regularizer_collection.datamodules.image_data_module import ImageDataModule, Split
from regularizer_collection.datamodules.missing_files import missing_files
from regularizer_collection.datamodules.restricted_unpickler import load_arrays

_PATIENCE = 30.0  # seconds without a byte
# What unpacking an archive raises that is cut off, none at all, or of other files.
_UNREADABLE = (EOFError, FileNotFoundError, BadGzipFile, tarfile.TarError, zlib.error)


class CIFARDataModule(ImageDataModule):
    """50,000 training and 10,000 test images of 32x32 pixels.

    A subclass sets ``title``, ``source`` and ``labels_key``.

    Args:
        data_dir: Folder that holds, or will hold, the unpacked archive.
        batch_size: Samples of a step, which all processes share.
        val_size: Training images held out for validation, the same number of each class; below 1 a
            share of them.
        download: Downloads what is missing.
        verify: Refuses files whose checksum is not the official one. Files are read without
            running code either way.
        augment: Crops and flips training images at random.
        seed: Seed of shuffling, augmentation and the held-out part.

    Raises:
        ValueError: If an argument is out of range.
    """

    title: ClassVar[str]
    source: ClassVar[type[CIFAR10]]
    labels_key: str

    def __init__(
        self,
        data_dir: str = "data",
        batch_size: int = 100,
        val_size: int | float = 0,
        download: bool = True,
        verify: bool = True,
        augment: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, val_size, augment, seed)
        self.data_dir = Path(data_dir).expanduser()
        self.download = download
        self.verify = verify

    def prepare_data(self) -> None:
        """Unpacks the archive in ``data_dir``, or downloads it, where a file is missing.

        Raises:
            FileNotFoundError: If files are missing and cannot be downloaded.
            ValueError: If the archive cannot be unpacked, or a file's checksum is not the official
                one and ``verify`` is set.
        """
        missing = [name for name in self._checksums() if not self._path(name).is_file()]
        archive = self.data_dir / self.source.filename
        if missing and archive.is_file():
            try:
                self._unpack(archive, missing)
            except _UNREADABLE as error:
                reason = str(error).partition("\n")[0].removesuffix(":")
                raise ValueError(
                    f"{archive} cannot be unpacked ({reason}); delete it to download it again"
                ) from error
        elif missing:
            self._download(missing)
        if self.verify:
            self._check_integrity()

    def _path(self, name: str) -> Path:
        return self.data_dir / self.source.base_folder / name

    def _checksums(self) -> dict[str, str]:
        return dict(self.source.train_list + self.source.test_list)

    def _download(self, missing: list[str]) -> None:
        reason = "download is false"
        if self.download:
            try:
                self._fetch(missing)
                return
            except (OSError, HTTPException, ValueError, tarfile.TarError) as error:
                reason = f"the download failed: {error}, from {self.source.url}"
        folder = (self.data_dir / self.source.base_folder).resolve()
        raise missing_files(self.title, folder, missing, reason, folder.name)

    def _fetch(self, missing: list[str]) -> None:
        """Puts the official files where they are missing, each whole or not at all."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="download_", dir=self.data_dir) as temporary:
            archive = Path(temporary) / self.source.filename
            with (
                urlopen(self.source.url, timeout=_PATIENCE) as response,
                wrap_file(response, response.length or 0, description=self.title) as content,
                archive.open("wb") as file,
            ):
                shutil.copyfileobj(content, file)
            if not check_integrity(archive, self.source.tgz_md5):
                raise ValueError(
                    f"{archive.stat().st_size} bytes of {response.headers.get_content_type()} came "
                    f"whose checksum is not the official {self.source.tgz_md5}"
                )
            self._unpack(archive, missing)

    def _unpack(self, archive: Path, missing: list[str]) -> None:
        """Takes what is missing out of the official archive, each file whole or not at all."""
        folder = self.data_dir / self.source.base_folder
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="unpacked_", dir=folder) as temporary:
            with tarfile.open(archive) as members:
                members.extractall(temporary, filter="data")
            for name in missing:
                (Path(temporary) / self.source.base_folder / name).replace(self._path(name))

    def _check_integrity(self) -> None:
        for name, md5 in self._checksums().items():
            if not check_integrity(self._path(name), md5):
                raise ValueError(
                    f"{self._path(name)} has not the official checksum {md5}; delete it to "
                    "download it again, or accept this copy with --data.verify false"
                )

    def load(self, split: Split) -> tuple[Tensor, Tensor]:
        """Reads images [samples, 32, 32, 3] (uint8) and labels [samples].

        Raises:
            ValueError: If a file is damaged or of another data set.
        """
        files = self.source.train_list if split == "train" else self.source.test_list
        images, labels = zip(*(self._read(self._path(name)) for name, _ in files), strict=True)
        return torch.cat(images), torch.cat(labels)

    def _read(self, path: Path) -> tuple[Tensor, Tensor]:
        content = load_arrays(path)
        rows = np.asarray(content.get("data"))
        labels = np.asarray(content.get(self.labels_key))
        if rows.dtype != np.uint8 or rows.shape[1:] != (3072,) or labels.shape != rows.shape[:1]:
            raise ValueError(
                f"{path} holds data of shape {rows.shape} and {self.labels_key} of shape "
                f"{labels.shape}, not {self.title}'s; delete it and download it again"
            )
        images = np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        return torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))
