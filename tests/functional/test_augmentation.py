import torch

from regularizer_collection.functional.augmentation import crop_and_flip


def test_every_image_is_a_shifted_and_perhaps_mirrored_copy():
    images = torch.randint(0, 256, (20, 6, 6, 3), dtype=torch.uint8)
    augmented = crop_and_flip(images, torch.Generator().manual_seed(0), padding=2)
    padded = torch.zeros(20, 10, 10, 3, dtype=torch.uint8)
    padded[:, 2:8, 2:8] = images
    seen = set()
    for image, output in zip(padded, augmented, strict=True):
        crops = {
            (top, left, flip): (crop.flip(1) if flip else crop)
            for top in range(5)
            for left in range(5)
            for flip in (False, True)
            for crop in [image[top : top + 6, left : left + 6]]
        }
        matches = [key for key, crop in crops.items() if torch.equal(crop, output)]
        assert matches
        seen.update(matches)
    assert len(seen) > 10


def test_the_generator_decides():
    images = torch.randint(0, 256, (8, 6, 6, 3), dtype=torch.uint8)
    first, again, other = (
        crop_and_flip(images, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
