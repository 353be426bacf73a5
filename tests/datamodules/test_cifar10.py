import pickle

import numpy as np
import pytest

from regularizer_collection.datamodules import CIFAR10DataModule

BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


@pytest.fixture
def copy(tmp_path):
    """Six files of 20 images, each labelled with its file's number."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    contents = {}
    for number, name in enumerate(BATCHES):
        rows = np.random.default_rng(number).integers(0, 256, (20, 3072), dtype=np.uint8)
        contents[name] = {b"data": rows, b"labels": [number] * 20}
        (folder / name).write_bytes(pickle.dumps(contents[name], 2))
    return contents


def load(tmp_path):
    data = CIFAR10DataModule(str(tmp_path), verify=False, download=False)
    data.prepare_data()
    data.setup("fit")
    return data


def test_the_five_training_files_are_read_in_order(copy, tmp_path):
    data = load(tmp_path)
    images, labels = data.images_and_labels("train")
    rows = np.concatenate([copy[name][b"data"] for name in BATCHES[:5]])
    assert np.array_equal(images.permute(0, 3, 1, 2), rows.reshape(-1, 3, 32, 32))
    assert labels.tolist() == [number for number in range(5) for _ in range(20)]
    assert data.images_and_labels("test")[1].unique().tolist() == [5]


def test_every_file_that_is_missing_is_named(copy, tmp_path):
    for name in ("data_batch_2", "test_batch"):
        (tmp_path / "cifar-10-batches-py" / name).unlink()
    expected = r"CIFAR-10 not found: \S*cifar-10-batches-py has no data_batch_2 and no test_batch"
    with pytest.raises(FileNotFoundError, match=expected):
        load(tmp_path)


def test_a_copy_with_another_checksum_is_refused_by_default(copy, tmp_path):
    with pytest.raises(ValueError, match=r"data_batch_1 has not the official checksum c99cafc1"):
        CIFAR10DataModule(str(tmp_path), download=False).prepare_data()


def test_a_file_of_another_data_set_is_refused(copy, tmp_path):
    path = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    path.write_bytes(pickle.dumps({b"data": np.zeros((2, 5), np.uint8), b"labels": [0, 0]}))
    with pytest.raises(ValueError, match=r"data_batch_3 holds data of shape \(2, 5\)"):
        load(tmp_path)
