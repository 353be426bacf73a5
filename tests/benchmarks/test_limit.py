import itertools

import torch
from torch import nn

from benchmarks.limit import live_multiply_adds
from regularizer_collection.backbones import ResNet18


def test_counts_the_products_of_two_numbers_that_are_data():
    size, kernel, stride, padding = 5, 3, 2, 1
    network = nn.Sequential(
        nn.Conv2d(2, 4, kernel, stride, padding), nn.Flatten(), nn.Linear(4 * 9, 7)
    )
    outputs = range((size + 2 * padding - kernel) // stride + 1)
    products = 0
    for row, column, down, across in itertools.product(outputs, outputs, *[range(kernel)] * 2):
        pixel = (row * stride + down - padding, column * stride + across - padding)
        products += all(0 <= position < size for position in pixel)
    expected = products * 2 * 4 + 4 * 9 * 7
    assert live_multiply_adds(network, torch.zeros(1, 2, size, size)) == expected


def test_a_resnet18_at_32_pixels_has_the_published_number():
    network = ResNet18().eval()
    assert round(live_multiply_adds(network, torch.zeros(1, 3, 32, 32)) / 1e6, 1) == 21.7
