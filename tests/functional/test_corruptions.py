import colorsys
import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.signal import convolve2d
from scipy.stats import kstest, poisson

from regularizer_collection.datamodules.shape_drawing import draw_shapes
from regularizer_collection.functional.corruptions import KINDS, NUM_SEVERITIES, corrupt

SIZE = 16


def images(number=2, channels=3, size=SIZE):
    """Smooth colours, not grey, with black, white and clear edges."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (number, size // 4, size // 4, channels), dtype=np.uint8)
    pixels = coarse.repeat(4, 1).repeat(4, 2)
    pixels[0, 0, :2] = 0
    pixels[0, 1, :2] = 255
    return torch.from_numpy(pixels)


def corrupted(kind, severity, pixels=None, seed=0):
    pixels = images() if pixels is None else pixels
    return corrupt(pixels, kind, severity, range(len(pixels)), seed)


def flat(value=128, number=1, size=64):
    return torch.full((number, size, size, 3), value, dtype=torch.uint8)


def per_pixel(function, severity_pixels):
    """Applies a function of red, green and blue from 0 to 1 to every pixel, in a naive loop."""
    changed = torch.empty(severity_pixels.shape)
    for index in np.ndindex(*severity_pixels.shape[:3]):
        changed[index] = torch.tensor(function(*(severity_pixels[index].double() / 255).tolist()))
    return (changed.clamp(0, 1) * 255).round()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_is_corrupted_alone_as_in_a_batch_and_by_its_own_number(kind, channels):
    pixels = images(3, channels)
    together = corrupt(pixels, kind, 3, [4, 9, 2])
    alone = corrupt(pixels[1:2], kind, 3, [9])
    assert together.dtype == torch.uint8
    assert together.shape == pixels.shape
    assert torch.equal(together[1], alone[0])
    if kind != "saturate" or channels == 3:
        assert not torch.equal(together, pixels)


@pytest.mark.parametrize("kind", KINDS)
def test_a_higher_severity_changes_an_image_more(kind):
    pixels = draw_shapes(8, 0)[0]
    distances = [
        (corrupted(kind, severity, pixels).double() - pixels).square().mean().sqrt()
        for severity in range(1, NUM_SEVERITIES + 1)
    ]
    if kind == "saturate":  # its first two severities pale, the others saturate
        assert distances[0] < distances[1]
        assert distances[2] < distances[3] < distances[4]
    else:
        assert distances == sorted(distances)


@pytest.mark.parametrize(("kind", "scale"), [("gaussian_noise", 1), ("speckle_noise", 128 / 255)])
def test_noise_is_normal_with_the_published_deviation(kind, scale):
    added = (corrupted(kind, 2, flat()).double() - 128).flatten() / 255
    sigma = KINDS[kind][0][1] * scale
    assert added.mean().abs() < 4 * sigma / len(added) ** 0.5
    assert added.std() == pytest.approx(sigma, rel=0.03)


def test_shot_noise_counts_photons():
    counts = corrupted("shot_noise", 5, flat()).double().flatten() / 255 * 50
    expected = poisson(128 / 255 * 50)
    assert counts.mean() == pytest.approx(expected.mean(), rel=0.01)
    assert counts.var() == pytest.approx(expected.var(), rel=0.05)
    assert kstest(counts.numpy() + 1e-3, expected.cdf).statistic < 0.1


def test_impulse_noise_replaces_the_published_share_half_by_black_half_by_white():
    pixels = corrupted("impulse_noise", 5, flat(number=4))
    black, white = (pixels == 0).double().mean(), (pixels == 255).double().mean()
    assert black == pytest.approx(0.035, abs=0.004)
    assert white == pytest.approx(0.035, abs=0.004)
    assert ((pixels == 128) | (pixels == 0) | (pixels == 255)).all()


def test_gaussian_blur_is_a_convolution_with_the_bell_curve():
    pixels = images(1)
    reach = np.arange(-4, 5)
    bell = np.exp(-(reach**2) / 2)
    kernel = np.outer(bell, bell) / bell.sum() ** 2
    padded = np.pad(pixels[0].double().numpy(), ((4, 4), (4, 4), (0, 0)), mode="edge")
    naive = np.stack([convolve2d(padded[..., c], kernel, mode="valid") for c in range(3)], -1)
    assert np.abs(corrupted("gaussian_blur", 5, pixels)[0].numpy() - naive).max() <= 0.51


def test_zoom_blur_averages_enlargements_of_the_middle():
    pixels = images(1, size=20)[0].double().numpy()
    total, factors = pixels.copy(), np.arange(1, 1.11, 0.01)
    for factor in factors:
        side = int(np.ceil(20 / factor))
        first = (20 - side) // 2
        enlarged = pixels[first : first + side, first : first + side]
        size = round(side * factor)
        at = np.linspace(0, side - 1, size)
        for axis in (0, 1):
            enlarged = np.apply_along_axis(
                lambda line, at=at, side=side: np.interp(at, np.arange(side), line), axis, enlarged
            )
        first = (size - 20) // 2
        total += enlarged[first : first + 20, first : first + 20]
    naive = total / (len(factors) + 1)
    given = torch.from_numpy(pixels[None]).to(torch.uint8)
    assert np.abs(corrupted("zoom_blur", 2, given)[0].numpy() - naive).max() <= 0.51


def test_fog_brightens_by_a_cloud_and_keeps_the_brightest_value():
    foggy = corrupted("fog", 3, flat(128, number=2, size=32)).double()
    assert foggy.max() == 128  # the cloud's highest point
    assert foggy.min() == round(128 * (128 / 255) / (128 / 255 + 0.75))  # where there is no cloud
    assert not torch.equal(foggy[0], foggy[1])
    assert (foggy[..., 0] == foggy[..., 1]).all()


def test_fog_is_smoother_than_noise_and_its_cloud_has_no_seam():
    foggy = corrupted("fog", 1, flat(number=50, size=32))[..., 0].double()
    steps = (foggy.roll(1, 1) - foggy).square().mean()
    assert steps < 0.1 * foggy.var()
    assert (foggy[:, 0] - foggy[:, -1]).square().mean() < 1.5 * steps


def published_cloud(decay, rng):
    """plasma_fractal of make_cifar_c.py, retold: wibble scales what is drawn from +-wibble."""
    size = step = 32
    heights, wibble = np.zeros((size, size)), 100.0

    def displaced(total):
        return total / 4 + wibble * rng.uniform(-wibble, wibble, total.shape)

    while step >= 2:
        half = step // 2
        corners = heights[::step, ::step]
        below, right = np.roll(corners, -1, 0), np.roll(corners, -1, 1)
        heights[half::step, half::step] = displaced(corners + below + right + np.roll(below, -1, 1))
        centres = heights[half::step, half::step]
        heights[::step, half::step] = displaced(corners + right + centres + np.roll(centres, 1, 0))
        heights[half::step, ::step] = displaced(corners + below + centres + np.roll(centres, 1, 1))
        step, wibble = half, wibble / decay
    heights -= heights.min()
    return heights / heights.max()


@pytest.mark.parametrize(("severity", "decay"), [(1, 3), (3, 2.5), (4, 2), (5, 1.75)])
def test_fog_is_as_rough_as_the_published(severity, decay):
    rng = np.random.default_rng(0)

    def roughness(clouds):
        spread = (clouds.max((1, 2)) - clouds.min((1, 2)))[:, None, None]
        return (np.abs(np.diff(clouds, axis=1)) / spread).mean((1, 2))

    published = roughness(np.stack([published_cloud(decay, rng) for _ in range(300)]))
    foggy = corrupted("fog", severity, flat(255, number=300, size=32))[..., 0].double().numpy()
    error = np.hypot(published.std(), roughness(foggy).std()) / np.sqrt(300)
    assert abs(roughness(foggy).mean() - published.mean()) < 4 * error + 0.001


def test_brightness_raises_the_value_of_hsv():
    def brighter(red, green, blue):
        hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
        return colorsys.hsv_to_rgb(hue, saturation, min(1, value + 0.15))

    assert (corrupted("brightness", 3) - per_pixel(brighter, images())).abs().max() <= 1


@pytest.mark.parametrize(("severity", "scale", "added"), [(1, 0.3, 0), (5, 2.5, 0.2)])
def test_saturate_scales_the_saturation_of_hsv(severity, scale, added):
    def saturated(red, green, blue):
        hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
        wanted = min(1, saturation * scale + added) if saturation > 0 else 0
        return colorsys.hsv_to_rgb(hue, wanted, value)

    difference = corrupted("saturate", severity).double() - per_pixel(saturated, images())
    assert difference.abs().max() <= 1


def test_contrast_draws_every_channel_to_its_mean():
    pixels = images().double().numpy()
    naive = (pixels - pixels.mean((1, 2), keepdims=True)) * 0.15 + pixels.mean(
        (1, 2), keepdims=True
    )
    assert np.abs(corrupted("contrast", 5).numpy() - naive).max() <= 0.51


def test_pixelate_averages_the_pixels_whose_centres_a_large_pixel_covers():
    pixels = images(1, size=20)
    small = 13  # of 20 pixels, at 0.65
    centres = (np.arange(20) + 0.5) * small / 20
    covers = (np.floor(centres) == np.arange(small)[:, None]).astype(float)
    covers /= covers.sum(1, keepdims=True)
    shrunk = np.einsum("ij,kl,jlc->ikc", covers, covers, pixels[0].double().numpy())
    shown = np.floor(centres).astype(int)
    difference = corrupted("pixelate", 5, pixels)[0].numpy() - shrunk[shown][:, shown]
    assert np.abs(difference).max() <= 1


def test_jpeg_is_what_pillow_saves_at_the_published_quality():
    pixels = images(1)
    file = io.BytesIO()
    Image.fromarray(pixels[0].numpy()).save(file, "JPEG", quality=58)
    expected = np.array(Image.open(file))
    assert np.array_equal(corrupted("jpeg", 3, pixels)[0].numpy(), expected)


@pytest.mark.parametrize("kind", ["pixelate", "jpeg"])
def test_channels_that_are_no_colours_are_changed_one_by_one(kind):
    four = images(2, channels=4, size=24)[:, :17]
    together = corrupted(kind, 3, four)
    for image, changed in zip(four, together, strict=True):
        for channel in range(4):
            grey = Image.fromarray(image[..., channel].numpy())
            if kind == "jpeg":
                file = io.BytesIO()
                grey.save(file, "JPEG", quality=58)
                expected = Image.open(file)
            else:
                small = grey.resize((int(24 * 0.85), int(17 * 0.85)), Image.Resampling.BOX)
                expected = small.resize((24, 17), Image.Resampling.BOX)
            assert np.array_equal(changed[..., channel].numpy(), np.array(expected))


@pytest.mark.parametrize(
    ("kind", "severity", "message"),
    [("rain", 1, "kind is 'rain'; give one of gaussian_noise"), ("fog", 6, "severity is 6; give")],
)
def test_unknown_kinds_and_severities_are_refused(kind, severity, message):
    with pytest.raises(ValueError, match=message):
        corrupted(kind, severity)
