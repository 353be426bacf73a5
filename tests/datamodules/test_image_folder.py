import numpy as np
import pytest
import torch
from PIL import Image

from regularizer_collection.datamodules import ImageFolderDataModule


@pytest.fixture
def folder(tmp_path):
    """Two classes of three pictures of 6 x 4 pixels in each split; their pixels are kept."""
    rng = np.random.default_rng(0)
    pixels = {}
    for split in ("train", "test"):
        for name in ("zebra", "ant"):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(3):
                array = rng.integers(0, 256, (4, 6, 3), dtype=np.uint8)
                path = tmp_path / split / name / f"{number}.png"
                Image.fromarray(array).save(path)
                pixels[split, name, number] = array
    return tmp_path, pixels


def loaded(path, **options):
    data = ImageFolderDataModule(str(path), **options)
    data.setup("fit")
    return data


def test_pictures_are_read_in_the_order_of_class_and_name(folder):
    path, pixels = folder
    data = loaded(path)
    images, labels = data.images_and_labels("train")
    assert data.num_classes == 2
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert np.array_equal(images[0], pixels["train", "ant", 0])
    assert np.array_equal(images[5], pixels["train", "zebra", 2])
    assert not torch.equal(images, data.images_and_labels("test")[0])


def test_grey_pictures_have_one_channel_and_one_mean(folder):
    path, pixels = folder
    data = loaded(path, grey=True, mean=(0.3,), std=(0.2,))
    images, _ = data.images_and_labels("train")
    expected = np.asarray(Image.fromarray(pixels["train", "ant", 0]).convert("L"))
    assert np.array_equal(images[0, ..., 0], expected)
    assert data.normalize(images).shape == (6, 1, 4, 6)
    assert (data.mean, data.std) == ((0.3,), (0.2,))


def test_a_picture_of_another_size_is_named(folder):
    path, _ = folder
    Image.new("RGB", (5, 5)).save(path / "train" / "zebra" / "9.png")
    with pytest.raises(ValueError, match=r"9.png is 5 x 5 pixels, the first picture 6 x 4"):
        loaded(path)


def test_splits_of_other_classes_are_refused(folder):
    path, _ = folder
    (path / "test" / "zebra").rename(path / "test" / "horse")
    with pytest.raises(ValueError, match="test has the classes ant, horse, train ant, zebra"):
        loaded(path)


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_folder_without_classes_says_what_is_expected(folder, split):
    path, _ = folder
    (path / split).rename(path / "elsewhere")
    with pytest.raises(FileNotFoundError, match=rf"{split} has no folder of a class; .*data_dir"):
        loaded(path)


@pytest.mark.parametrize(
    "options",
    [{"mean": (0.5,)}, {"std": (0.2, 0.2, 0.0)}, {"std": ()}],
)
def test_mean_and_std_must_be_of_the_channels(folder, options):
    with pytest.raises(ValueError, match="give 3 numbers each, std above 0"):
        ImageFolderDataModule(str(folder[0]), **options)


def test_pictures_of_more_than_8_bits_are_refused_by_name(folder):
    path, _ = folder
    Image.fromarray(np.full((4, 6), 40_000, dtype=np.uint16)).save(path / "train/ant/0.png")
    with pytest.raises(ValueError, match=r"ant/0.png has more than 8 bits a value"):
        loaded(path)


def test_a_picture_that_is_cut_off_is_named(folder):
    path, _ = folder
    whole = (path / "train/ant/1.png").read_bytes()
    (path / "train/ant/1.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"ant/1.png cannot be read"):
        loaded(path)


@pytest.mark.parametrize(("grey", "mean"), [(False, (0.1, 0.2, 0.3, 0.4)), (True, (0.1, 0.2, 0.3))])
def test_a_mean_of_more_channels_than_there_are_is_refused(grey, mean, folder):
    with pytest.raises(ValueError, match=r"give . numbers? each"):
        loaded(folder[0], grey=grey, mean=mean)
