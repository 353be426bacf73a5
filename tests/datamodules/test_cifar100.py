import pickle

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR100

from datamodules import CIFAR100DataModule


def write(folder, split, samples=20, labels=None, protocol=2, **extra):
    rng = np.random.default_rng(0)
    content = {
        b"data": rng.integers(0, 256, (samples, 3072), dtype=np.uint8),
        b"fine_labels": list(range(samples)) if labels is None else labels,
        **extra,
    }
    path = folder / "cifar-100-python" / split
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol))
    return content


@pytest.fixture
def copy(tmp_path):
    return {split: write(tmp_path, split) for split in ("train", "test")}


def load(tmp_path, **kwargs):
    data = CIFAR100DataModule(str(tmp_path), verify=False, download=False, **kwargs)
    data.prepare_data()
    data.setup("fit")
    return data


def test_reads_channel_planes_into_pixels(copy, tmp_path):
    images, labels = load(tmp_path).images_and_labels("train")
    naive = copy["train"][b"data"].reshape(20, 3, 32, 32)
    assert images.shape == (20, 32, 32, 3)
    assert images.dtype == torch.uint8
    assert np.array_equal(images.permute(0, 3, 1, 2), naive)
    assert labels.tolist() == list(range(20))


def test_real_cifar100_has_the_published_mean_and_standard_deviation(cifar100_dir):
    data = load(cifar100_dir)
    images, labels = data.images_and_labels("train")
    assert labels.bincount().tolist() == [500] * 100
    pixels = data.normalize(images[::5]).double()
    torch.testing.assert_close(pixels.mean((0, 2, 3)), torch.zeros(3).double(), atol=0.02, rtol=0)
    # The published deviations are those of the images' own means, smaller than the pixels'.
    assert (pixels.std((0, 2, 3)) > 1).all()


def test_missing_data_without_download_says_what_was_searched_and_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        CIFAR100DataModule(str(tmp_path), download=False).prepare_data()
    message = str(error.value)
    assert str(tmp_path / "cifar-100-python") in message
    assert "no train and no test" in message
    assert "--data.data_dir" in message
    assert "--config demo.yaml" in message


def test_missing_data_without_network_gives_the_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(CIFAR100, "url", "http://127.0.0.1:9/cifar-100-python.tar.gz")
    with pytest.raises(FileNotFoundError, match=r"the download failed: .*refused"):
        CIFAR100DataModule(str(tmp_path)).prepare_data()


def test_a_copy_with_another_checksum_is_refused_by_default(copy, tmp_path):
    with pytest.raises(ValueError, match=r"not the official checksum .*--data.verify false"):
        CIFAR100DataModule(str(tmp_path), download=False).prepare_data()


def test_a_truncated_file_is_named(copy, tmp_path):
    path = tmp_path / "cifar-100-python" / "train"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"train is not a readable data file .*download it again"):
        load(tmp_path)


class Exploit:
    def __reduce__(self):
        return eval, ("open('exploited', 'w')",)


def test_a_tampered_file_cannot_run_code(copy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "train", **{"batch_label": Exploit()})
    with pytest.raises(ValueError, match=r"eval is not allowed in a data file"):
        load(tmp_path)
    assert not (tmp_path / "exploited").exists()


@pytest.mark.parametrize("protocol", [2, 4])
def test_plain_pickles_of_every_age_are_read(tmp_path, protocol):
    for split in ("train", "test"):
        write(tmp_path, split, protocol=protocol, labels=[np.int64(3)] * 20)
    assert load(tmp_path).images_and_labels("train")[1].tolist() == [3] * 20


def test_labels_outside_the_classes_are_refused(copy, tmp_path):
    write(tmp_path, "train", labels=[100] * 20)
    with pytest.raises(ValueError, match="labels 100 to 100 in its train split"):
        load(tmp_path)


def test_another_pickle_is_refused(copy, tmp_path):
    write(tmp_path, "train", labels=[1, 2])
    with pytest.raises(ValueError, match=r"labels of shape \(2,\), not CIFAR-100's"):
        load(tmp_path)
