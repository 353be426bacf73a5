import torch
import torch.nn.functional as F
from torch import nn

from regularizer_collection.regularizers import Curvature, PixelSpace, Step, regularized_loss
from tests.regularizers.conftest import batch, linear

PIXELS = PixelSpace((0.5, 0.5, 0.5), (0.25, 0.2, 0.5))


def test_it_is_the_squared_change_of_the_gradient_in_pixels():
    net, (images, labels) = linear(), batch()
    h = 0.3
    step = Step(net, 5, pixels=PIXELS)
    found = regularized_loss(net, [Curvature(4.0, h)], images, labels, step)

    def of_pixels(pixels, label):
        return F.cross_entropy(net(PIXELS.normalise(pixels)[None]), label[None])

    gradient = torch.func.grad(of_pixels)
    total = 0.0
    for image, label in zip(images, labels, strict=True):
        pixels = PIXELS.denormalise(image)
        here = gradient(pixels, label)
        z = here.sign() / here.sign().norm()
        total = total + (gradient(pixels + h * z, label) - here).square().sum()
    torch.testing.assert_close(found.penalties["curvature"], 4.0 * total / len(images))


def test_at_small_distance_it_is_the_hessian_along_the_sign_of_the_gradient():
    h = 1e-3
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(48, 9), nn.Tanh(), nn.Linear(9, 5)).double()
    (image,), (label,) = batch(1)
    step = Step(net, 5, pixels=PixelSpace((0.0,) * 3, (1.0,) * 3))
    found = regularized_loss(net, [Curvature(1.0, h)], image[None], label[None], step)

    def loss(x):
        return F.cross_entropy(net(x.view(1, 3, 4, 4)), label[None])

    flat = image.flatten()
    sign = torch.func.grad(loss)(flat).sign()
    expected = (
        torch.autograd.functional.hessian(loss, flat) @ (sign / sign.norm())
    ).square().sum() * h**2
    torch.testing.assert_close(found.penalties["curvature"], expected, rtol=0.02, atol=0)


def test_a_linear_loss_has_none():
    """Without curvature nothing is left, whatever was dropped: both gradients drop the same."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(48, 5)).double()
    images, labels = batch()
    terms = regularized_loss(
        net, [Curvature(4.0, 0.0)], images, labels, Step(net, 5, pixels=PIXELS)
    )
    assert terms.penalties["curvature"] < 1e-12
