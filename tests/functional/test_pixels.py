import torch

from regularizer_collection.functional.pixels import PixelSpace

PIXELS = PixelSpace((0.5, 0.4, 0.3), (0.2, 0.25, 0.1))


def test_normalising_and_back_is_the_identity():
    pixels = torch.rand(5, 3, 4, 4, dtype=torch.float64)
    normalised = PIXELS.normalise(pixels)
    torch.testing.assert_close(normalised[:, 1], (pixels[:, 1] - 0.4) / 0.25)
    torch.testing.assert_close(PIXELS.denormalise(normalised), pixels)


def test_a_distance_in_pixels_moves_a_pixel_by_just_that():
    pixels = torch.rand(5, 3, 4, 4, dtype=torch.float64)
    moved = PIXELS.normalise(pixels) + PIXELS.distance(8 / 255, pixels)
    torch.testing.assert_close(PIXELS.denormalise(moved), pixels + 8 / 255)


def test_clamping_leaves_images_that_exist_and_moves_the_others_to_the_nearest():
    pixels = torch.randn(5, 3, 4, 4, dtype=torch.float64)
    clamped = PIXELS.denormalise(PIXELS.clamp(PIXELS.normalise(pixels)))
    torch.testing.assert_close(clamped, pixels.clamp(0, 1))
