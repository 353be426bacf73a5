import struct

import numpy as np
import pytest
import torch
from torchvision.datasets import MNIST

from regularizer_collection.datamodules import FashionMNISTDataModule, MNISTDataModule


def write_idx(path, array):
    """Writes the format that yann.lecun.com/exdb/mnist describes."""
    head = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(head + array.tobytes())


@pytest.fixture(params=[MNISTDataModule, FashionMNISTDataModule])
def module(request):
    return request.param


@pytest.fixture
def folder(tmp_path, module):
    folder = tmp_path / module.__name__.removesuffix("DataModule") / "raw"
    folder.mkdir(parents=True)
    for number, (name, size) in enumerate((("train", 30), ("t10k", 20))):
        rng = np.random.default_rng(number)
        images = rng.integers(0, 256, (size, 28, 28), dtype=np.uint8)
        write_idx(folder / f"{name}-images-idx3-ubyte", images)
        write_idx(folder / f"{name}-labels-idx1-ubyte", np.arange(size, dtype=np.uint8) % 10)
    return folder


def test_images_are_grey_and_in_the_order_of_the_file(module, folder, tmp_path):
    data = module(str(tmp_path), download=False)
    data.prepare_data()
    data.setup("fit")
    images, labels = data.images_and_labels("train")
    written = np.random.default_rng(0).integers(0, 256, (30, 28, 28), dtype=np.uint8)
    assert images.shape == (30, 28, 28, 1)
    assert np.array_equal(images[..., 0], written)
    assert labels.tolist() == [number % 10 for number in range(30)]
    expected = (torch.from_numpy(written[0]) / 255 - module.mean[0]) / module.std[0]
    torch.testing.assert_close(data.normalize(images[:1])[0, 0], expected)


def test_missing_files_are_named(module, folder, tmp_path):
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match=r"raw has no t10k-labels-idx1-ubyte, and download"):
        module(str(tmp_path), download=False).prepare_data()


def test_a_failed_download_gives_the_reason_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(FileNotFoundError, match=r"the download failed: .*refused") as error:
        MNISTDataModule(str(tmp_path)).prepare_data()
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("kept", [3, 10, 1000])
def test_a_file_that_is_cut_off_is_refused(module, folder, tmp_path, kept):
    path = folder / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:kept])
    data = module(str(tmp_path), download=False)
    data.prepare_data()
    with pytest.raises(ValueError, match=r"raw is not readable .*download it again"):
        data.setup("fit")
